// For programs that use libcurl without a way to name a root: preloaded, it gives every handle the
// one that $CURL_CA_BUNDLE names, as the curl program does. For tests alone.
#include <dlfcn.h>
#include <stdlib.h>

enum { kOptionCaInfo = 10065 };  // CURLOPT_CAINFO, part of libcurl's ABI

void* curl_easy_init(void) {
  void* (*init)(void) = (void* (*)(void))dlsym(RTLD_NEXT, "curl_easy_init");
  int (*set)(void*, int, ...) = (int (*)(void*, int, ...))dlsym(RTLD_NEXT, "curl_easy_setopt");
  void* handle = init != NULL ? init() : NULL;
  const char* bundle = getenv("CURL_CA_BUNDLE");
  if (handle != NULL && set != NULL && bundle != NULL) set(handle, kOptionCaInfo, bundle);
  return handle;
}

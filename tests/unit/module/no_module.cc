// A shared object that is no module.
extern "C" int genkan_test_no_module() { return 1; }

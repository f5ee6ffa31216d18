#include "proxy/control/path_list.h"

#include <gtest/gtest.h>

namespace genkan::control {
namespace {

using Paths = std::vector<std::string>;

TEST(PathList, GivesBackWhatItWasMadeOf) {
  const std::string longest(4096, 'x');
  for (const Paths& paths :
       {Paths{}, Paths{""}, Paths{"", ""}, Paths{"/a"}, Paths{"/a", "/a"}, Paths{"/a", "", "/a/b"},
        Paths{"/live/a.test/cert.pem", "/live/a.test/chain.pem", "/live/a.test/privkey.pem"},
        Paths{longest, longest + "y", "/b", longest}})
    EXPECT_EQ(PathList(paths).All(), paths) << paths.size();
  EXPECT_EQ(PathList().All(), Paths{});
}

}  // namespace
}  // namespace genkan::control

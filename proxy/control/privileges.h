// Which user the proxy runs as. Started as root it opens its sockets, becomes that user, and never
// comes back; what needs root later is the keeper's. Main thread, at the start.
#pragma once

#include <sys/types.h>

#include <string>

#include "proxy/base/result.h"

namespace genkan::control {

class Privileges {
 public:
  // `user`: from the configuration, may be ""; then `default_user`. Fails where root has nobody to
  // become: the message has the useradd line.
  static Result<Privileges> Choose(const std::string& user, const std::string& default_user);

  // There is a user to become.
  bool will_drop() const { return will_drop_; }
  const std::string& user() const { return user_; }
  uid_t uid() const { return uid_; }
  gid_t gid() const { return gid_; }
  // Something that a person should know; "" when all is well.
  const std::string& warning() const { return warning_; }

  // Makes a directory (with its parents) that the user may write to. An existing one keeps its
  // owner, except an empty one of root's.
  void PrepareDirectory(const std::string& path, unsigned mode) const;
  // Gives a file or socket that we have just made to the user.
  void GiveAway(const std::string& path) const;

  // Fails where root could come back.
  Status DropForGood();
  // no_new_privs, where there is a user to become: without root there is nothing to give up, and a
  // hook may want sudo. Before any other thread: it holds for this one and those that it starts.
  Status ForbidNewPrivileges() const;

 private:
  bool will_drop_ = false;
  uid_t uid_ = 0;
  gid_t gid_ = 0;
  std::string user_, warning_;
};

}  // namespace genkan::control

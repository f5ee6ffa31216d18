// What the challenge path was asked lately and who answered, as the admin socket tells it. Pure but
// for the board's lock.
#pragma once

#include <string>
#include <string_view>

#include "proxy/server/challenge_board.h"

namespace genkan::control {

// Schema 1. `token`: this one alone; "" = all.
std::string ChallengesJson(server::ChallengeBoard& board, MonotonicTime now,
                           std::string_view token);

}  // namespace genkan::control

#pragma once
/// \file A model's file is what it was when it was fetched or made.
#include <filesystem>
#include <string>
#include <string_view>

namespace tenfold::models {

/// Hex SHA-256 of a whole file. Errors: kNotFound.
std::string HashOf(const std::filesystem::path& path);

/// Compares a file with `expected`, or, if that is empty, with what was noted beside it (`path`.sha256) the first time. The note holds size and time of
/// change too: a file that has both is not read again, so this costs nothing at most starts. It cannot see a change that leaves both as they were.
bool IsUnaltered(const std::filesystem::path& path, std::string_view expected = {});

}  // namespace tenfold::models

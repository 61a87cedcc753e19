#pragma once
/// \file A data folder as one file, made beside a live server, and put back.
#include <filesystem>

#include "app/services.h"

namespace tenfold::app {

/// Writes a tar of the store at one commit and of the objects it names; returns the commit. The file appears when it is whole.
/// Errors: kAlreadyExists, kResourceExhausted (disk full).
data::Commit MakeBackup(Services& on, const Context& ctx, const std::filesystem::path& file);

/// Checks a backup, then puts it in the place of what a data folder nobody serves holds; that is kept beside it as *.before-restore. Returns the commit.
/// A store file alone is taken too. Errors: kNotFound, kDataLoss (not whole), kUnavailable (the folder is served).
data::Commit RestoreBackup(const std::filesystem::path& home, const std::filesystem::path& file);

}  // namespace tenfold::app

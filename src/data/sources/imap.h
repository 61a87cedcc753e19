#pragma once
/// \file The `imap:` source: the messages of a mailbox.
#include "data/source.h"

namespace tenfold::data {

/// `rest`: "imaps://user@host:993/INBOX" (TLS), or "imap://user@host:143/INBOX" (STARTTLS; without TLS only where the host is this machine). '@' in a user is
/// written %40. Also access=labels (else "user:" and the user: a mailbox is read by its owner), page=1..5000 messages a page. The password is
/// secret("IMAP_PASSWORD"). Paths are UIDVALIDITY/UID: a message never changes, so neither does its fingerprint. Messages marked as deleted count as gone;
/// nothing is ever marked or changed. A cursor holds the ids that were listed, so a listing of changes names what has gone with any server; where the server
/// keeps HIGHESTMODSEQ, one that changed nothing costs two commands. kFailedPrecondition when the server has given all messages new ids. A mailbox of very many
/// gaps (ids in ranges beyond 256 KiB of text) has no cursor.
std::unique_ptr<Source> OpenImapSource(std::string_view rest, const SourceSetup& setup);

}  // namespace tenfold::data

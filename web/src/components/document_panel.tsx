import * as Dialog from "@radix-ui/react-dialog";
import { useEffect, useRef, useState } from "react";
import { api, type Citation, type StoredDocument } from "../api";
import { splitAtBytes } from "../bytes";
import { CloseIcon } from "./icons";
import { Markdown } from "./markdown";

/// The cited document with its passage marked and in view. Escape closes it.
export function DocumentPanel({ citation, onClose }: { citation: Citation; onClose: () => void }) {
  const [found, setFound] = useState<StoredDocument | null>(null);
  const [failure, setFailure] = useState("");
  const mark = useRef<HTMLElement>(null);
  useEffect(() => {
    setFound(null);
    setFailure("");
    api.document(citation.document).then(setFound, (error: Error) => setFailure(error.message));
  }, [citation]);
  useEffect(() => {
    mark.current?.scrollIntoView({ block: "center" });
  }, [found]);
  const parts = found && splitAtBytes(found.text, citation.span[0], citation.span[1]);
  return (
    <Dialog.Root open onOpenChange={(open) => !open && onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay className="overlay" />
        <Dialog.Content className="panel" aria-describedby={undefined}>
          <header>
            <Dialog.Title>{citation.title}</Dialog.Title>
            <Dialog.Close className="icon" aria-label="Close">
              <CloseIcon />
            </Dialog.Close>
          </header>
          <p className="hint">{citation.uri}</p>
          {failure && (
            <p className="failure" role="alert">
              {failure}
            </p>
          )}
          {parts && (
            <div className="document">
              <Markdown text={parts.before} />
              <mark ref={mark}>
                <Markdown text={parts.passage} />
              </mark>
              <Markdown text={parts.after} />
            </div>
          )}
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

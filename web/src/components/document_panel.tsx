import * as Dialog from "@radix-ui/react-dialog";
import { useState } from "react";
import { DocumentView, type ViewProps } from "./document_view";
import { CloseIcon } from "./icons";

/// The cited document beside the chat. Escape closes it.
export function DocumentPanel({ onClose, ...view }: ViewProps & { onClose: () => void }) {
  const [title, setTitle] = useState("");
  return (
    <Dialog.Root open onOpenChange={(open) => !open && onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay className="overlay" />
        <Dialog.Content className="panel" aria-describedby={undefined}>
          <header>
            <Dialog.Title>{title || "Document"}</Dialog.Title>
            <Dialog.Close className="icon" aria-label="Close">
              <CloseIcon />
            </Dialog.Close>
          </header>
          <DocumentView {...view} onTitle={setTitle} />
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

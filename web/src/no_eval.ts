/// Imported before all else: the message schemas of the AI SDK would compile themselves with eval, which the page's content policy forbids.
import { config } from "zod/v4/core";

config({ jitless: true });

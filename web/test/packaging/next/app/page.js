// Made on the server, which imports the package too.
import { KnownSenderError } from "knownsender";
import Verdict from "./verdict";

export default function Page() {
  return <main data-server={typeof KnownSenderError}><Verdict /></main>;
}

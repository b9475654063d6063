// A mail server that does what it is told. Its behaviour is one JSON object, the first argument; what happens is
// printed as JSON lines; it ends with standard input. A line of standard input changes fields of the behaviour and is
// answered with {"event":"told"}.
//
//   tls       "starttls" | "implicit" | "none" (no STARTTLS offered)
//   key, cert PEM, for the first two
//   auth      mechanisms offered, e.g. ["LOGIN"]; [] = no AUTH at all
//   users     {"name": "password"}
//   tokens    tokens XOAUTH2 accepts; any other is answered 334 with a JSON text, as Exchange does
//   replies   {"auth"|"mail"|"data": ["451 4.7.0 later", …], "rcpt": {"a@b": ["550 …"]}}: what is said to the next
//             such command, in order, then "ok" again; "hang" = nothing ever, "close" = the connection breaks
import { SMTPServer } from "smtp-server";
import { createInterface } from "node:readline";

const behaviour = { tls: "none", auth: [], users: {}, tokens: [], replies: {}, ...JSON.parse(process.argv[2] ?? "{}") };
const say = (event, fields) => console.log(JSON.stringify({ event, ...fields }));

// Goes on with `done` as the next reply of `list` says.
function reply(stage, list, session, done) {
  const text = list?.shift() ?? "ok";
  if (text === "ok") return done();
  say("scripted", { stage, reply: text });
  if (text === "hang") return;
  if (text === "close") {
    for (const connection of server.connections) if (connection.id === session.id) connection._socket.destroy();
    return;
  }
  const error = new Error(text.slice(4));
  error.responseCode = Number(text.slice(0, 3));
  done(error);
}

const server = new SMTPServer({
  secure: behaviour.tls === "implicit",
  key: behaviour.key,
  cert: behaviour.cert,
  hideSTARTTLS: behaviour.tls !== "starttls",
  disabledCommands: behaviour.auth.length === 0 ? ["AUTH"] : [],
  authMethods: behaviour.auth,
  authOptional: false,
  allowInsecureAuth: true,
  // Replies are given whole by the tests.
  hideENHANCEDSTATUSCODES: true,
  disableReverseLookup: true,
  logger: false,

  onConnect(session, done) {
    say("connect", { client: session.clientHostname });
    done();
  },
  onAuth(auth, session, done) {
    reply("auth", behaviour.replies.auth, session, (error) => {
      const known = auth.method === "XOAUTH2"
        ? behaviour.tokens.includes(auth.accessToken)
        : Object.hasOwn(behaviour.users, auth.username) && behaviour.users[auth.username] === auth.password;
      const accepted = !error && known;
      say("auth", { method: auth.method, user: auth.username, accepted });
      if (error) return done(error);
      if (accepted) return done(null, { user: auth.username });
      done(null, auth.method === "XOAUTH2"
        ? { data: { status: "401", schemes: "bearer", scope: "https://outlook.office.com/" } }
        : { responseCode: 535, message: "5.7.3 Authentication unsuccessful" });
    });
  },
  onMailFrom(_address, session, done) {
    reply("mail", behaviour.replies.mail, session, done);
  },
  onRcptTo(address, session, done) {
    reply("rcpt", behaviour.replies.rcpt?.[address.address], session, done);
  },
  onData(stream, session, done) {
    const parts = [];
    stream.on("data", (part) => parts.push(part));
    stream.on("end", () => reply("data", behaviour.replies.data, session, (error) => {
      if (!error) {
        say("mail", {
          from: session.envelope.mailFrom.address,
          to: session.envelope.rcptTo.map((to) => to.address),
          user: session.user ?? null,
          encrypted: session.secure,
          hello: session.hostNameAppearsAs,
          text: Buffer.concat(parts).toString("utf8"),
        });
      }
      done(error);
    }));
  },
  onClose() {
    say("close", {});
  },
});
// A client that breaks off or refuses our certificate is part of the tests.
server.on("error", (error) => say("error", { text: String(error.message) }));

server.listen(0, "127.0.0.1", () => say("listening", { port: server.server.address().port }));

createInterface({ input: process.stdin })
  .on("line", (line) => {
    Object.assign(behaviour, JSON.parse(line));
    say("told", {});
  })
  .on("close", () => process.exit(0));

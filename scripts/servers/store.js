// Runs Node's smtp-server, which stores each message as a file: store.js PORT FOLDER LIMIT
const [port, folder, limit] = process.argv.slice(2);
const { createWriteStream } = require("fs");
const { randomUUID } = require("crypto");
const { SMTPServer } = require("smtp-server");

function refusal(responseCode, text) {
    return Object.assign(new Error(text), { responseCode });
}

new SMTPServer({
    authOptional: true,
    disabledCommands: ["STARTTLS"],
    hideSMTPUTF8: false,
    size: Number(limit),
    onRcptTo({ address }, _session, done) {
        if (address.endsWith("@gone.example")) return done(refusal(550, "Nobody of that name is here"));
        if (address.endsWith("@later.example")) return done(refusal(450, "Try again later"));
        done();
    },
    onData(stream, _session, done) {
        stream.pipe(createWriteStream(`${folder}/${randomUUID()}`)).on("finish", done);
    },
}).listen(Number(port), "127.0.0.1");

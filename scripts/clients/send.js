// Sends the HTML in the file `body` with nodemailer: send.js HOST PORT SENDER RECIPIENT...
//
// It logs in if LOGIN_NAME and LOGIN_PASSWORD are in the environment.
const [host, port, from, ...to] = process.argv.slice(2);
const { LOGIN_NAME: user, LOGIN_PASSWORD: pass } = process.env;
const auth = user && { user, pass };
const html = require("fs").readFileSync("body", "utf8");
require("nodemailer")
    .createTransport({ host, port: Number(port), ignoreTLS: true, auth })
    .sendMail({ from, to, subject: "sent by nodemailer", html })
    .catch((error) => {
        console.log(error.message);
        process.exit(1);
    });

// Sends the HTML in the file `body` with nodemailer: send.js HOST PORT SENDER RECIPIENT...
const [host, port, from, ...to] = process.argv.slice(2);
const html = require("fs").readFileSync("body", "utf8");
require("nodemailer")
    .createTransport({ host, port: Number(port), ignoreTLS: true })
    .sendMail({ from, to, subject: "sent by nodemailer", html })
    .catch((error) => {
        console.log(error.message);
        process.exit(1);
    });

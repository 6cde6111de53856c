import jakarta.mail.Authenticator;
import jakarta.mail.Message.RecipientType;
import jakarta.mail.MessagingException;
import jakarta.mail.PasswordAuthentication;
import jakarta.mail.Session;
import jakarta.mail.Transport;
import jakarta.mail.internet.InternetAddress;
import jakarta.mail.internet.MimeMessage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;

/**
 * Sends the HTML in the file {@code body} with Jakarta Mail: send.java HOST PORT SENDER RECIPIENT...
 *
 * <p>It logs in if LOGIN_NAME and LOGIN_PASSWORD are in the environment.
 */
class Send {
    public static void main(String[] arguments) throws IOException {
        try {
            send(arguments);
        } catch (MessagingException error) {
            System.out.println(error.getMessage());
            System.exit(1);
        }
    }

    static void send(String[] arguments) throws IOException, MessagingException {
        String name = System.getenv("LOGIN_NAME");
        Properties settings = new Properties();
        settings.put("mail.smtp.host", arguments[0]);
        settings.put("mail.smtp.port", arguments[1]);
        settings.put("mail.smtp.auth", String.valueOf(name != null));
        settings.put("mail.mime.allowutf8", "true");
        Session session = Session.getInstance(settings, new Authenticator() {
            @Override
            protected PasswordAuthentication getPasswordAuthentication() {
                return new PasswordAuthentication(name, System.getenv("LOGIN_PASSWORD"));
            }
        });

        MimeMessage message = new MimeMessage(session);
        message.setFrom(new InternetAddress(arguments[2]));
        for (int at = 3; at < arguments.length; at++) {
            message.addRecipient(RecipientType.TO, new InternetAddress(arguments[at]));
        }
        message.setSubject("sent by jakarta");
        message.setText(Files.readString(Path.of("body")), "utf-8", "html");
        Transport.send(message);
    }
}

<?php
// Sends the HTML in the file `body` with PHPMailer: send.php HOST PORT SENDER RECIPIENT...
//
// It logs in if LOGIN_NAME and LOGIN_PASSWORD are in the environment.
require 'libphp-phpmailer/autoload.php';

[, $host, $port, $sender] = $argv;
$mail = new PHPMailer\PHPMailer\PHPMailer();
$mail->isSMTP();
$mail->Host = $host;
$mail->Port = (int) $port;
$mail->SMTPAuth = getenv('LOGIN_NAME') !== false;
$mail->Username = getenv('LOGIN_NAME');
$mail->Password = getenv('LOGIN_PASSWORD');
$mail->CharSet = 'utf-8';
$mail->Subject = 'sent by PHPMailer';
$mail->setFrom($sender);
foreach (array_slice($argv, 4) as $recipient) {
    $mail->addAddress($recipient);
}
$mail->isHTML();
$mail->Body = file_get_contents('body');
if (!$mail->send()) {
    echo $mail->ErrorInfo, "\n";
    exit(1);
}

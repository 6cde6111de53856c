// Sends the message in the file `mail` with Go's net/smtp: send.go HOST:PORT SENDER RECIPIENT...
//
// It logs in if LOGIN_NAME and LOGIN_PASSWORD are in the environment.
package main

import (
	"bytes"
	"fmt"
	"net"
	"net/smtp"
	"os"
)

func main() {
	if err := send(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func send(server, sender string, recipients []string) error {
	message, err := os.ReadFile("mail")
	if err != nil {
		return err
	}
	message = bytes.ReplaceAll(message, []byte("\n"), []byte("\r\n"))
	host, _, err := net.SplitHostPort(server)
	if err != nil {
		return err
	}
	var auth smtp.Auth
	if name, given := os.LookupEnv("LOGIN_NAME"); given {
		auth = smtp.PlainAuth("", name, os.Getenv("LOGIN_PASSWORD"), host)
	}
	return smtp.SendMail(server, auth, sender, recipients, message)
}

// Sends the message in the file `mail` with Go's net/smtp: send.go HOST:PORT SENDER RECIPIENT...
package main

import (
	"bytes"
	"fmt"
	"net/smtp"
	"os"
)

func main() {
	message, err := os.ReadFile("mail")
	if err == nil {
		message = bytes.ReplaceAll(message, []byte("\n"), []byte("\r\n"))
		err = smtp.SendMail(os.Args[1], nil, os.Args[2], os.Args[3:], message)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

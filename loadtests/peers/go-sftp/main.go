// A server as small as pkg/sftp allows: one key and one password, files below one directory, nothing verified or synced.
package main

import (
	"bytes"
	"flag"
	"log"
	"net"
	"os"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

func main() {
	address := flag.String("listen", "127.0.0.1:0", "address to listen on")
	hostKey := flag.String("host-key", "", "file with the host key")
	directory := flag.String("directory", ".", "where relative paths begin")
	password := flag.String("password", "", "the password of whoever comes")
	clientKey := flag.String("client-key", "", "file with the public key of whoever comes")
	flag.Parse()
	line, err := os.ReadFile(*clientKey)
	if err != nil {
		log.Fatal(err)
	}
	known, _, _, _, err := ssh.ParseAuthorizedKey(line)
	if err != nil {
		log.Fatal(err)
	}
	text, err := os.ReadFile(*hostKey)
	if err != nil {
		log.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		log.Fatal(err)
	}
	config := &ssh.ServerConfig{
		PasswordCallback: func(_ ssh.ConnMetadata, given []byte) (*ssh.Permissions, error) {
			if string(given) != *password {
				return nil, os.ErrPermission
			}
			return nil, nil
		},
		PublicKeyCallback: func(_ ssh.ConnMetadata, given ssh.PublicKey) (*ssh.Permissions, error) {
			if !bytes.Equal(given.Marshal(), known.Marshal()) {
				return nil, os.ErrPermission
			}
			return nil, nil
		},
	}
	config.AddHostKey(signer)
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serve(connection, config, *directory)
	}
}

func serve(connection net.Conn, config *ssh.ServerConfig, directory string) {
	defer connection.Close()
	_, channels, requests, err := ssh.NewServerConn(connection, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for offered := range channels {
		if offered.ChannelType() != "session" {
			offered.Reject(ssh.UnknownChannelType, "sessions only")
			continue
		}
		channel, asked, err := offered.Accept()
		if err != nil {
			return
		}
		go func() {
			for request := range asked {
				request.Reply(request.Type == "subsystem" && string(request.Payload[4:]) == "sftp", nil)
			}
		}()
		go func() {
			defer channel.Close()
			server, err := sftp.NewServer(channel, sftp.WithServerWorkingDirectory(directory))
			if err == nil {
				server.Serve()
			}
		}()
	}
}

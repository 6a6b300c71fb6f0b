// Sends files to an HTTPS server, or fetches one, with little CPU of its own, and prints what it took as JSON.
//
//	tus-load -mode tus|put|get -url https://… -clients 8 -files 8 -size 134217728 -ca ca.pem [-token-file FILE]
//
// With tus each file is one POST with its bytes (creation-with-upload); with put one PUT. With -pause each body rests for so long
// after -pause-after bytes.
package main

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var (
	mode      = flag.String("mode", "tus", "tus, put or get")
	url       = flag.String("url", "", "where to send to, or fetch from")
	clients   = flag.Int("clients", 1, "files at the same time, each on a connection of its own")
	files     = flag.Int("files", 1, "files in all")
	size      = flag.Int64("size", 1<<20, "bytes of a file")
	authority = flag.String("ca", "", "PEM file of the certificate's authority")
	tokenFile = flag.String("token-file", "", "a bearer token")
	pauseAt   = flag.Int64("pause-after", 0, "bytes of a body after which it rests")
	pause     = flag.Duration("pause", 0, "for how long it rests")
)

// Ring gives `left` bytes of noise, the same block again and again. Where `rest` is reached it rests once.
type Ring struct {
	block []byte
	at    int
	left  int64
	rest  int64
}

func (ring *Ring) Read(into []byte) (int, error) {
	if ring.left == 0 {
		return 0, io.EOF
	}
	if *pause > 0 && ring.left <= ring.rest {
		ring.rest = -1
		time.Sleep(*pause)
	}
	count := copy(into, ring.block[ring.at:])
	if int64(count) > ring.left {
		count = int(ring.left)
	}
	ring.at = (ring.at + count) % len(ring.block)
	ring.left -= int64(count)
	return count, nil
}

func main() {
	flag.Parse()
	pem, err := os.ReadFile(*authority)
	check(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	token := ""
	if *tokenFile != "" {
		content, err := os.ReadFile(*tokenFile)
		check(err)
		token = "Bearer " + strings.TrimSpace(string(content))
	}
	block := make([]byte, 1<<20)
	_, err = rand.Read(block)
	check(err)

	var next, failed atomic.Int64
	var lock sync.Mutex
	var first, location string
	took := make([]float64, 0, *files)
	began := time.Now()
	var group sync.WaitGroup
	for range *clients {
		group.Add(1)
		go func() {
			defer group.Done()
			client := &http.Client{Transport: &http.Transport{
				TLSClientConfig: &tls.Config{RootCAs: pool}, WriteBufferSize: 256 << 10, ReadBufferSize: 256 << 10,
				MaxIdleConnsPerHost: 1, DisableCompression: true,
			}}
			for {
				number := next.Add(1)
				if number > int64(*files) {
					return
				}
				start := time.Now()
				place, err := one(client, token, block, number)
				lock.Lock()
				location = place
				took = append(took, time.Since(start).Seconds())
				if err != nil {
					failed.Add(1)
					if first == "" {
						first = err.Error()
					}
				}
				lock.Unlock()
			}
		}()
	}
	group.Wait()
	sort.Float64s(took)
	check(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"seconds": time.Since(began).Seconds(), "failed": failed.Load(), "first_failure": first, "location": location,
		"median_s": took[len(took)/2], "p99_s": took[len(took)*99/100],
	}))
}

// one sends or fetches one file, and gives the Location of the answer.
func one(client *http.Client, token string, block []byte, number int64) (string, error) {
	var request *http.Request
	var err error
	switch *mode {
	case "get":
		request, err = http.NewRequest("GET", *url, nil)
	case "put":
		request, err = http.NewRequest("PUT", fmt.Sprintf("%s/%d", *url, number), body(block))
	default:
		request, err = http.NewRequest("POST", *url, body(block))
	}
	if err != nil {
		return "", err
	}
	if *mode != "get" {
		request.ContentLength = *size
	}
	if *mode == "tus" {
		name := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "bench-%d-%d", os.Getpid(), number))
		request.Header.Set("Tus-Resumable", "1.0.0")
		request.Header.Set("Content-Type", "application/offset+octet-stream")
		request.Header.Set("Upload-Length", fmt.Sprint(*size))
		request.Header.Set("Upload-Metadata", "filename "+name)
	}
	if token != "" {
		request.Header.Set("Authorization", token)
	}
	answer, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	count, err := io.CopyBuffer(io.Discard, answer.Body, make([]byte, 256<<10))
	if err == nil && answer.StatusCode >= 300 {
		err = fmt.Errorf("%s", answer.Status)
	}
	if err == nil && *mode == "get" && count != *size {
		err = fmt.Errorf("%d bytes came", count)
	}
	if err == nil && *mode == "tus" && answer.Header.Get("Upload-Offset") != fmt.Sprint(*size) {
		err = fmt.Errorf("Upload-Offset %q", answer.Header.Get("Upload-Offset"))
	}
	return answer.Header.Get("Location"), err
}

func body(block []byte) io.Reader {
	if *size <= int64(len(block)) && *pause == 0 {
		return bytes.NewReader(block[:*size])
	}
	return &Ring{block: block, left: *size, rest: *size - *pauseAt}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

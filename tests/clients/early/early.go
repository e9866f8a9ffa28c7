// URL VERSION SIZE...: posts a body of each size, and prints the statuses in one line.
package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

func post(client *http.Client, url string, size int) string {
	response, err := client.Post(url, "application/octet-stream", bytes.NewReader(make([]byte, size)))
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	if _, err := io.ReadAll(response.Body); err != nil {
		return err.Error()
	}
	return strconv.Itoa(response.StatusCode)
}

func main() {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	if os.Args[2] == "2" {
		transport.ForceAttemptHTTP2 = true
	} else {
		transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	var statuses []string
	for _, size := range os.Args[3:] {
		number, _ := strconv.Atoi(size)
		statuses = append(statuses, post(client, os.Args[1], number))
	}
	fmt.Println(strings.Join(statuses, " "))
}

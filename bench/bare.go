package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
)

// bareCommand makes this program the server that others are compared with.
const bareCommand = "bare"

// bareID is as long as a folder's id, and a comment's is cut from it.
const bareID = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"

// bare is the least that net/http can do: it reads a body, stores nothing, and
// answers as long as comntr does. There is no faster server on net/http.
func bare(stdout io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "bare listening http=http://%s\n", l.Addr())
	id, comment := []byte(bareID+"\n"), []byte(bareID[:40]+"\n")
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Content-Type"] = plain
		switch {
		case r.Method == http.MethodPost:
			io.Copy(io.Discard, r.Body)
			h["Location"] = []string{r.URL.Path}
			w.WriteHeader(http.StatusCreated)
			w.Write(comment)
		case r.Header.Get("If-None-Match") != "":
			w.WriteHeader(http.StatusNotModified)
		default:
			w.Write(id)
		}
	}))
}

var plain = []string{"text/plain; charset=utf-8"}

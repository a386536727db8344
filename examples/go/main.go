// Hello-go greets over HTTP and shows a page from a template that lies beside the binary.
package main

import (
	"context"
	"errors"
	"html/template"
	"log"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/google/uuid"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	page, err := template.ParseFiles("templates/index.html")
	if err != nil {
		log.Fatal(err)
	}
	if err := serve(ctx, port(), routes(page)); err != nil {
		log.Fatal(err)
	}
}

func port() string {
	if port := os.Getenv("PORT"); port != "" {
		return port
	}
	return "5000"
}

func routes(page *template.Template) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		err := page.Execute(w, map[string]string{
			"Go": runtime.Version(), "Request": uuid.NewString(), "Release": os.Getenv("PAAS_RELEASE"), "Instance": os.Getenv("DYNO"),
		})
		if err != nil {
			log.Print(err)
		}
	})
	return mux
}

// serve finishes the requests in flight when ctx ends.
func serve(ctx context.Context, port string, handler http.Handler) error {
	server := &http.Server{Addr: ":" + port, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() {
		<-ctx.Done()
		drain, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		done <- server.Shutdown(drain)
	}()
	log.Printf("listening on %s", port)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-done
}

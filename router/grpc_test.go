package router_test

import (
	"context"
	"crypto/tls"
	"flag"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"paas/platform"
)

// talker is an app that speaks gRPC: it echoes a conversation, and says how one that was left ended.
type talker struct {
	grpc_testing.UnimplementedTestServiceServer
	left chan error
}

func (s *talker) FullDuplexCall(stream grpc_testing.TestService_FullDuplexCallServer) error {
	for {
		in, err := stream.Recv()
		if err == io.EOF {
			stream.SetTrailer(metadata.Pairs("x-sum", "all"))
			return nil
		}
		if err == nil {
			err = stream.Send(&grpc_testing.StreamingOutputCallResponse{Payload: in.GetPayload()})
		}
		if err != nil {
			s.left <- err
			return err
		}
	}
}

func (s *talker) UnaryCall(ctx context.Context, in *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	switch string(in.GetPayload().GetBody()) {
	case "refuse":
		return nil, status.Error(codes.PermissionDenied, "not you")
	case "wait":
		<-ctx.Done()
		s.left <- ctx.Err()
		return nil, ctx.Err()
	}
	return &grpc_testing.SimpleResponse{Payload: in.GetPayload()}, nil
}

// spoken is a router before a talker, and its client.
type spoken struct {
	*served
	app    *talker
	server *grpc.Server
	client grpc_testing.TestServiceClient
}

func newSpoken(t *testing.T, idle time.Duration, options ...grpc.DialOption) spoken {
	s := spoken{served: newServed(t, nil), app: &talker{left: make(chan error, 8)}, server: grpc.NewServer()}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	grpc_testing.RegisterTestServiceServer(s.server, s.app)
	go func() { _ = s.server.Serve(l) }() // ends with the test
	t.Cleanup(s.server.Stop)
	instance := platform.Backend{ID: "talker", Addr: netip.MustParseAddrPort(l.Addr().String())}
	s.Swap(platform.Route{App: "hello", Hosts: []string{"hello.test"}, Backends: []platform.Backend{instance}, Traffic: platform.Traffic{Idle: idle}})
	url, _ := s.secured()
	secret := credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}) //nolint:gosec // a test's
	options = append(options, grpc.WithTransportCredentials(secret), grpc.WithAuthority("hello.test"))
	conn, err := grpc.NewClient("passthrough:///"+strings.TrimPrefix(url, "https://"), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s.client = grpc_testing.NewTestServiceClient(conn)
	return s
}

func payload(text string) *grpc_testing.Payload { return &grpc_testing.Payload{Body: []byte(text)} }

func (s spoken) conversation(ctx context.Context) grpc_testing.TestService_FullDuplexCallClient {
	s.t.Helper()
	stream, err := s.client.FullDuplexCall(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	s.says(stream, "hello")
	return stream
}

func (s spoken) says(stream grpc_testing.TestService_FullDuplexCallClient, text string) {
	s.t.Helper()
	if err := stream.Send(&grpc_testing.StreamingOutputCallRequest{Payload: payload(text)}); err != nil {
		s.t.Fatal(err)
	}
	if out, err := stream.Recv(); err != nil || string(out.GetPayload().GetBody()) != text {
		s.t.Fatalf("%v, %v", out, err)
	}
}

// wasLeft waits until the app knows that its caller is gone.
func (s spoken) wasLeft() {
	s.t.Helper()
	select {
	case <-s.app.left:
	case <-time.After(time.Minute):
		s.t.Error("the app was not told")
	}
}

// What calls end with comes through as it is: a status alone, a status in the trailers, a deadline, a cancel.
func TestGRPCStatuses(t *testing.T) {
	s := newSpoken(t, 0)
	ask := func(ctx context.Context, text string) (string, error) {
		out, err := s.client.UnaryCall(ctx, &grpc_testing.SimpleRequest{Payload: payload(text)})
		return string(out.GetPayload().GetBody()), err
	}
	if got, err := ask(t.Context(), "one"); got != "one" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := ask(t.Context(), "refuse"); status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "not you") {
		t.Errorf("a status alone: %v", err)
	}
	if _, err := s.client.EmptyCall(t.Context(), &grpc_testing.Empty{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("an unknown method: %v", err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := ask(soon, "wait"); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a deadline: %v", err)
	}
	s.wasLeft()
	left, leave := context.WithCancel(t.Context())
	stream := s.conversation(left)
	leave()
	if _, err := stream.Recv(); status.Code(err) != codes.Canceled {
		t.Errorf("a cancel: %v", err)
	}
	s.wasLeft()
	stream = s.conversation(t.Context())
	_ = stream.CloseSend()
	if _, err := stream.Recv(); err != io.EOF || stream.Trailer().Get("x-sum") == nil {
		t.Errorf("the end: %v, trailers %v", err, stream.Trailer())
	}
}

// A call on which nothing moves is ended after the app's idle time, with a status that gRPC's clients try again after,
// and the app is told.
func TestGRPCIdle(t *testing.T) {
	const idle = time.Second
	s := newSpoken(t, idle)
	stream := s.conversation(t.Context())
	for range 4 { // longer than that altogether
		time.Sleep(idle / 2)
		s.says(stream, "again")
	}
	_, err := stream.Recv()
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "nothing moved") {
		t.Errorf("%v", err)
	}
	s.wasLeft()
	if _, err := s.client.UnaryCall(t.Context(), &grpc_testing.SimpleRequest{Payload: payload("wait")}); status.Code(err) != codes.Unavailable {
		t.Errorf("a call without an answer: %v", err)
	}
}

var keepsAlive = flag.Bool("keepalive", false, "wait for the keepalive of gRPC's own client, which takes a minute (TestGRPCKeepalive)")

// A client that shows with PINGs that it is there may be silent for longer.
func TestGRPCPings(t *testing.T) {
	const idle = 2 * time.Second
	s := newSpoken(t, idle)
	url, _ := s.secured()
	secret := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}} //nolint:gosec // a test's
	c, err := tls.Dial("tcp", strings.TrimPrefix(url, "https://"), secret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	conn, err := new(http2.Transport).NewClientConn(c) //nolint:staticcheck // HTTP/2 over a connection of our own
	if err != nil {
		t.Fatal(err)
	}
	in, out := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://hello.test"+grpc_testing.TestService_FullDuplexCall_FullMethodName, in)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	empty := make([]byte, 5) // a message of no bytes
	go func() { _, _ = out.Write(empty) }()
	res, err := conn.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	for end := time.Now().Add(3 * idle); time.Now().Before(end); time.Sleep(idle / 20) {
		if err := conn.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	go func() { _, _ = out.Write(empty) }()
	if n, err := io.ReadFull(res.Body, make([]byte, 10)); err != nil {
		t.Errorf("%d bytes of two messages, %v", n, err)
	}
}

// The same with the keepalive of gRPC's own client.
func TestGRPCKeepalive(t *testing.T) {
	if !*keepsAlive {
		t.Skip("it takes a minute; TestGRPCPings is the same without gRPC's client. Run with -keepalive")
	}
	const idle = 25 * time.Second // a ping comes every ten seconds, the least that grpc-go takes
	s := newSpoken(t, idle, grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 30 * time.Second}))
	stream := s.conversation(t.Context())
	time.Sleep(2*idle + 3*time.Second)
	s.says(stream, "still there")
}

// When the instance dies in a conversation, or is let go of after a swap, the client is told in gRPC's words.
func TestGRPCBrokenOff(t *testing.T) {
	s := newSpoken(t, 0)
	stream := s.conversation(t.Context())
	s.server.Stop()
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("%v", err)
	}
	s = newSpoken(t, 0)
	stream = s.conversation(t.Context())
	drained := s.Swap(platform.Route{App: "hello", Hosts: []string{"hello.test"}})
	now, cancel := context.WithCancel(t.Context())
	cancel()
	go drained(now)
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("at the end of a drain: %v", err)
	}
}

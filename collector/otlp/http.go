package otlp

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

const (
	protocolHTTP = "http"

	typeProto = "application/x-protobuf"
	typeJSON  = "application/json"
)

var (
	errTooLarge = errors.New("message is too large")
	errMedia    = errors.New("media type is not taken")
)

func (r *Receiver) httpHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/logs", r.exportHTTP)
	return mux
}

func (r *Receiver) exportHTTP(w http.ResponseWriter, req *http.Request) {
	kind, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type"))
	message, err := r.receiveHTTP(w, req, kind)
	if err != nil {
		o := outcomeOf(err, false)
		if o == outcomeFailed {
			o = outcomeMalformed
		}
		r.metrics.requests[protocolHTTP][o].Inc()
		writeError(w, kind, err)
		return
	}
	a := r.export(req.Context(), protocolHTTP, message)
	if a.err != nil {
		writeError(w, kind, a.err)
		return
	}
	body, err := a.marshal(kind)
	if err != nil {
		writeError(w, kind, err)
		return
	}
	writeBody(w, kind, http.StatusOK, body)
}

func (a answer) marshal(kind string) ([]byte, error) {
	if kind == typeJSON {
		return a.response().MarshalJSON()
	}
	return a.response().MarshalProto()
}

// receiveHTTP takes a place and reads a request as a message in protobuf; after an
// error it has no place. JSON is made protobuf, so that there is one decoder.
func (r *Receiver) receiveHTTP(w http.ResponseWriter, req *http.Request, kind string) ([]byte, error) {
	if kind != typeProto && kind != typeJSON {
		return nil, fmt.Errorf("%w: content type %q, want %s or %s", errMedia, kind, typeProto, typeJSON)
	}
	if !r.acquire(req.Context()) {
		return nil, errBusy
	}
	message, err := r.readBody(w, req)
	if err == nil && kind == typeJSON {
		message, err = fromJSON(message)
	}
	if err != nil {
		r.release()
	}
	return message, err
}

func fromJSON(body []byte) ([]byte, error) {
	logs := plogotlp.NewExportRequest()
	if err := logs.UnmarshalJSON(body); err != nil {
		return nil, fmt.Errorf("%w: %w", errMessage, err)
	}
	return logs.MarshalProto()
}

func (r *Receiver) readBody(w http.ResponseWriter, req *http.Request) ([]byte, error) {
	limit := int64(r.cfg.MaxMessageBytes)
	var in io.Reader = http.MaxBytesReader(w, req.Body, limit)
	switch encoding := req.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("%w: gzip: %w", errMessage, err)
		}
		defer z.Close()
		in = z
	default:
		return nil, fmt.Errorf("%w: content encoding %q, want gzip or none", errMedia, encoding)
	}
	body, err := io.ReadAll(io.LimitReader(in, limit+1))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large), int64(len(body)) > limit:
		return nil, fmt.Errorf("%w: more than %d bytes", errTooLarge, limit)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errMessage, err)
	}
	return body, nil
}

// httpStatus is the answer to err by the OTLP specification: 429 and 503 may be
// sent again, the others not.
func httpStatus(err error) (int, codes.Code) {
	switch {
	case errors.Is(err, errBusy):
		return http.StatusTooManyRequests, codes.ResourceExhausted
	case errors.Is(err, errTooLarge):
		return http.StatusRequestEntityTooLarge, codes.InvalidArgument
	case errors.Is(err, errMedia):
		return http.StatusUnsupportedMediaType, codes.InvalidArgument
	case errors.Is(err, errMessage), errors.Is(err, errTooMany):
		return http.StatusBadRequest, codes.InvalidArgument
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable, codes.Canceled
	}
	return http.StatusServiceUnavailable, codes.Unavailable
}

func writeError(w http.ResponseWriter, kind string, err error) {
	code, grpcCode := httpStatus(err)
	if code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	}
	text := err.Error()
	if code == http.StatusServiceUnavailable && !errors.Is(err, errStopping) {
		text = "records cannot be written now"
	}
	body, kind := statusBody(kind, status.New(grpcCode, text).Proto())
	writeBody(w, kind, code, body)
}

// statusBody is s in the media type of the request, in JSON where that is none.
func statusBody(kind string, s *spb.Status) ([]byte, string) {
	if kind == typeProto {
		if b, err := proto.Marshal(s); err == nil {
			return b, typeProto
		}
	}
	b, err := protojson.Marshal(s)
	if err != nil {
		b = []byte("{}")
	}
	return b, typeJSON
}

func writeBody(w http.ResponseWriter, kind string, code int, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, _ = w.Write(body) // a client that left asks again
}

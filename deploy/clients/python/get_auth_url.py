"""Asks authurl for authorization URLs as a service in production does: with a deadline, retries, all replicas in turn,
only those that are well, and errors read to their details.

  python get_auth_url.py NETWORK [TENANT_ID [COUNT]]

AUTHURL_ADDRESS: host:port, or another target of gRPC such as dns:///authurl.internal:50051; address:port,address:port for
several. AUTHURL_API_KEY: a key of role ROLE_ORG or ROLE_MINT. AUTHURL_CA_FILE, AUTHURL_CERT_FILE and AUTHURL_KEY_FILE:
for a server with TLS, which asks for a certificate. Prints the last URL. Exit code 1: the server said no.
"""

import os
import sys
import time
from pathlib import Path

import grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from authurl.v1 import auth_url_service_pb2, auth_url_service_pb2_grpc

DEADLINE_S = 5.0  # Of one call, its retries included.
PATIENCE_S = 30.0  # How long to wait for room under the rate limit.
# Retries, replicas in turn, and none of those that say they are not well.
SERVICE_CONFIG = Path("authurl-protos/authurl/v1/service_config.json")


def connect():
    target = os.environ["AUTHURL_ADDRESS"]
    if "," in target:  # A name in DNS has all replicas' addresses; these are listed.
        target = f"ipv4:{target}"
    options = [("grpc.service_config", SERVICE_CONFIG.read_text(encoding="utf-8"))]
    ca = os.environ.get("AUTHURL_CA_FILE")
    if not ca:
        return grpc.insecure_channel(target, options)
    certificate, key = (Path(os.environ[name]) for name in ("AUTHURL_CERT_FILE", "AUTHURL_KEY_FILE"))
    credentials = grpc.ssl_channel_credentials(Path(ca).read_bytes(), key.read_bytes(), certificate.read_bytes())
    return grpc.secure_channel(target, credentials, options)


def detail_of(error, kind):
    """What the server says of that kind beside code and message, or None."""
    status = rpc_status.from_call(error)
    for packed in status.details if status else ():
        detail = kind()
        if packed.Unpack(detail):
            return detail
    return None


def report(error):
    info = detail_of(error, error_details_pb2.ErrorInfo)
    print(f"error: {error.code().name} {info.reason if info else ''}: {error.details()}")
    faults = detail_of(error, error_details_pb2.BadRequest)
    for fault in faults.field_violations if faults else ():
        print(f"  {fault.field}: {fault.description}")
    request = detail_of(error, error_details_pb2.RequestInfo)
    if request:  # The server's log has it, too.
        print(f"  request id: {request.request_id}")


def patiently(call):
    """Calls again when the server says when. Returns the reply and how often it waited."""
    give_up = time.monotonic() + PATIENCE_S
    waits = 0
    while True:
        try:
            return call(), waits
        except grpc.RpcError as error:
            retry = detail_of(error, error_details_pb2.RetryInfo)
            if error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED or retry is None:
                raise
            pause_s = retry.retry_delay.ToTimedelta().total_seconds()
            if time.monotonic() + pause_s > give_up:
                raise
            time.sleep(pause_s)
            waits += 1


def main(network, tenant_id=None, count="1"):
    metadata = [("authorization", f"Bearer {os.environ['AUTHURL_API_KEY']}")]
    request = auth_url_service_pb2.GetAuthUrlRequest(network=network, tenant_id=tenant_id)
    with connect() as channel:
        try:
            health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE_S)
            print("health:", health_pb2.HealthCheckResponse.ServingStatus.Name(health.status))
            stub = auth_url_service_pb2_grpc.AuthUrlServiceStub(channel)
            waits = 0
            for _ in range(int(count)):
                reply, waited = patiently(lambda: stub.GetAuthUrl(request, metadata=metadata, timeout=DEADLINE_S))
                waits += waited
            print("auth_url:", reply.auth_url)
            print("waits:", waits)
        except grpc.RpcError as error:
            report(error)
            sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])

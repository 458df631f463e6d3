"""A web page on which people connect their accounts: the smallest program that goes all the way with authurl, from the
button to an access token. first-integration.md says how to see it work.

  python first_integration.py

AUTHURL_ADDRESS: host:port of a server on this machine. AUTHURL_API_KEY: a key of role ROLE_ORG with read_tokens.
NETWORK: what to connect; "demo". PORT: 3000; 0 for any.
"""

import hashlib
import html
import os
import secrets
import sys
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from authurl.v1 import auth_url_service_pb2, auth_url_service_pb2_grpc
from authurl.v1 import social_account_service_pb2, social_account_service_pb2_grpc

DEADLINE_S = 25  # As long as completing a flow may take.
KEY = [("authorization", f"Bearer {os.environ['AUTHURL_API_KEY']}")]
NETWORK = os.environ.get("NETWORK", "demo")

channel = grpc.insecure_channel(os.environ["AUTHURL_ADDRESS"])
urls = auth_url_service_pb2_grpc.AuthUrlServiceStub(channel)
accounts = social_account_service_pb2_grpc.SocialAccountServiceStub(channel)


def reason_of(error):
    """Why a call failed, such as "USER_DENIED"."""
    status = rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    for detail in status.details if status else ():
        if detail.Unpack(info):
            return info.reason
    return error.details()


class Page(BaseHTTPRequestHandler):
    session = None  # Who is at the browser. A product has users who sign in; here everyone with a cookie is one.
    tenant = None
    is_new = False

    def find_session(self):
        cookie = SimpleCookie(self.headers.get("Cookie")).get("session")
        self.is_new = cookie is None or len(cookie.value) != 43
        self.session = secrets.token_urlsafe(32) if self.is_new else cookie.value
        self.tenant = "customer_" + hashlib.sha256(self.session.encode()).hexdigest()[:12]

    def answer(self, status, headers, text=""):
        body = text.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.is_new:
            self.send_header("Set-Cookie", f"session={self.session}; HttpOnly; SameSite=Lax; Path=/")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def show(self, status, text):
        headers = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"}
        self.answer(status, headers, f'<!DOCTYPE html><meta charset="utf-8"><title>First integration</title>{text}')

    def home(self):
        request = social_account_service_pb2.ListSocialAccountsRequest(tenant_id=self.tenant)
        reply = accounts.ListSocialAccounts(request, metadata=KEY, timeout=DEADLINE_S)
        items = "".join(f"<li>{html.escape(each.display_name)} at {html.escape(each.network)}</li>" for each in reply.accounts)
        self.show(200, f"""<h1>Your accounts</h1><ul>{items}</ul>
            <form method="post" action="/connect"><button>Connect</button></form>""")

    def connect(self):
        request = auth_url_service_pb2.GetAuthUrlRequest(
            network=NETWORK,
            redirect_uri=f"{self.server.base}/callback",
            tenant_id=self.tenant,
            session_binding=self.session,  # Only this browser can finish what it has begun.
        )
        reply = urls.GetAuthUrl(request, metadata=KEY, timeout=DEADLINE_S)
        self.answer(303, {"Location": reply.auth_url})

    def callback(self):
        request = social_account_service_pb2.CompleteAuthRequest(
            response=self.server.base + self.path,  # The whole of what the browser came back with.
            session_binding=self.session,
        )
        reply = accounts.CompleteAuth(request, metadata=KEY, timeout=DEADLINE_S)
        if reply.HasField("pending"):
            self.show(200, "<p>There is a choice to make: see FinalizePendingConnection.")
            return
        account = reply.accounts[0]
        request = social_account_service_pb2.GetAccessTokenRequest(account_id=account.id)
        # A secret: it stays here. What it is good for is in the network's documentation.
        token = accounts.GetAccessToken(request, metadata=KEY, timeout=DEADLINE_S)
        end = token.expires_at.ToJsonString() if token.HasField("expires_at") else "further notice"
        self.show(200, f"""<h1>Connected: {html.escape(account.display_name)}</h1>
            <p>Account {account.id} of {account.tenant_id}.
            Its access token has {len(token.access_token)} characters and is good until {end}.</p>
            <a href="/">Your accounts</a>""")

    def route(self):
        self.find_session()
        path = self.path.split("?")[0]
        routes = {"GET /": self.home, "POST /connect": self.connect, "GET /callback": self.callback}
        page = routes.get(f"{self.command} {path}")
        if page is None:
            self.show(404, "<p>There is no such page.")
            return
        try:
            page()
        except grpc.RpcError as error:
            print(f"{path}: {error.details()}", file=sys.stderr)
            reason = html.escape(reason_of(error))
            self.show(400, f'<h1>Not connected</h1><p>{reason}</p><a href="/">Your accounts</a>')

    do_GET = do_POST = route

    def log_message(self, *_):
        """Says nothing: what comes back to /callback has a code in it."""


server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "3000"))), Page)
server.base = f"http://127.0.0.1:{server.server_port}"
print(f"open {server.base}/", flush=True)
server.serve_forever()

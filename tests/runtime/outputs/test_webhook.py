import base64
import contextlib
import hashlib
import hmac
import json
import ssl

import pytest
from net_cases import Receiver, certificates
from patience import PATIENCE
from store_cases import event, opened, reading

from edge_runtime.errors import OutputError, UsageError
from edge_runtime.inspect.secret import Address, Secret
from edge_runtime.outputs import feeding
from edge_runtime.outputs.base import published
from edge_runtime.outputs.feeding import Feeder
from edge_runtime.outputs.open import Wanted
from edge_runtime.outputs.settings import Webhook
from edge_runtime.outputs.webhook import WebhookOutput, signature
from edge_runtime.store.entries import Batch
from edge_runtime.store.opening import open_store
from edge_runtime.store.reading import open_reader
from edge_runtime.store.writer import Writer


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def found(tmp_path):
    with opened(tmp_path / "store") as store:
        store.ledger.append(Batch(tuple(event(number) for number in range(5))))
    with reading(tmp_path / "store") as reader:
        return reader.after(0, ("belt",))


def address(text):
    return Address(text, text)


def output(receiver, path="/hook?line=1", clock=None, **settings):
    made = Webhook(address(f"http://127.0.0.1:{receiver.port}{path}"), **settings)
    return contextlib.closing(WebhookOutput(made) if clock is None else WebhookOutput(made, clock))


def ids(receiver):
    return [headers["Idempotency-Key"] for _, headers, _ in receiver.asked]


def test_each_event_is_a_signed_request_with_its_id_as_key(receiver, found):
    secret, token = Secret("x", "whsec_" + base64.b64encode(b"key").decode()), Secret("x", "to")
    with output(receiver, secret=secret, token=token) as told:
        assert told.delivered() is None
        assert told.send(found) == 5
    assert [json.loads(body) for _, _, body in receiver.asked] == [published(one) for one in found]
    for (path, headers, body), one in zip(receiver.asked, found, strict=True):
        assert path == "/hook?line=1"
        assert headers["Idempotency-Key"] == headers["webhook-id"] == one.event_id
        signed = f"{one.event_id}.{headers['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.digest(b"key", signed, hashlib.sha256)).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"
        assert (headers["Authorization"], headers["Content-Type"]) == ("Bearer to", "application/json")


def test_the_signature_is_the_one_of_the_standard():
    # https://github.com/standard-webhooks/standard-webhooks: the example of its libraries' tests
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    told = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert told == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("status", [429, 500, 503, 408])
def test_a_receiver_that_is_busy_is_asked_again(receiver, found, status):
    receiver.answers.put((200, {}))
    receiver.answers.put((status, {}))
    with output(receiver) as told:
        assert told.send(found) == 1
        receiver.answers.put((status, {}))
        with pytest.raises(OutputError, match=rf"/hook.* answers {status}") as said:
            told.send(found[1:])
        assert "WAIT" not in str(said.value)
        assert told.send(found[1:]) == 4
    assert ids(receiver)[-4:] == [one.event_id for one in found[1:]]


def test_retry_after_is_kept_to(receiver, found):
    now = [0.0]
    receiver.answers.put((503, {"Retry-After": "20"}))
    with output(receiver, clock=lambda: now[0]) as told:
        for now[0] in (0.0, 19.0):
            with pytest.raises(OutputError, match="503"):
                told.send(found)
        assert len(receiver.asked) == 1
        now[0] = 20.5
        assert told.send(found) == 5


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422])
def test_what_a_receiver_refuses_is_said_loudly_and_waits(receiver, found, status):
    receiver.answers.put((status, {}))
    with output(receiver) as told:
        with pytest.raises(OutputError, match=rf"answers {status} .*EVENTS WAIT, none is lost"):
            told.send(found)
        assert told.send(found) == 5
    assert ids(receiver) == [found[0].event_id, *(one.event_id for one in found)]


def test_a_redirect_is_not_followed(receiver, found):
    with Receiver() as other:
        receiver.answers.put((307, {"Location": f"http://127.0.0.1:{other.port}/"}))
        with output(receiver) as told, pytest.raises(OutputError, match=r"307 .*redirects are not followed"):
            told.send(found)
        assert other.asked == []


def test_a_receiver_that_does_not_answer_is_asked_again(receiver, found):
    receiver.answers.put(None)
    with output(receiver, timeout=0.05) as told, pytest.raises(OutputError, match=r"does not answer within 0.05 s"):
        told.send(found)
    with output(receiver) as told:
        assert told.send(found) == 5


def test_a_connection_that_was_closed_meanwhile_is_opened_again(receiver, found):
    receiver.answers.put((200, {"Connection": "close"}))
    with output(receiver) as told:
        assert told.send(found[:1]) == 1
        told._connection.sock = None  # as http.client has it; and one that the server closed without a word:
        assert told.send(found[1:2]) == 1
        told._connection.sock.shutdown(2)
        assert told.send(found[2:]) == 3
    assert ids(receiver) == [one.event_id for one in found]


def test_https_is_checked_by_the_authority_that_the_recipe_names(receiver, found, tmp_path):
    ca, certificate, key = certificates(tmp_path / "tls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    receiver.server.socket = context.wrap_socket(receiver.server.socket, server_side=True)
    url = address(f"https://127.0.0.1:{receiver.port}/")
    with contextlib.closing(WebhookOutput(Webhook(url, ca=ca))) as told:
        assert told.send(found) == 5
    receiver.server.handle_error = lambda *_: None
    why = pytest.raises(OutputError, match="certificate verify failed")
    with contextlib.closing(WebhookOutput(Webhook(url))) as told, why:
        told.send(found)
    with pytest.raises(UsageError, match="PEM"):
        WebhookOutput(Webhook(url, ca=tmp_path / "none.pem"))


def test_secrets_are_in_no_message_and_in_no_name(receiver, found):
    url = Address("http://127.0.0.1:${P}/${T}", f"http://127.0.0.1:{receiver.port}/geheim", {"T": "geheim"})
    receiver.answers.put((404, {}))
    with contextlib.closing(WebhookOutput(Webhook(url))) as told, pytest.raises(OutputError) as said:
        told.send(found)
    assert "geheim" not in str(said.value)
    assert Webhook(url).queue == "http://127.0.0.1:${P}/${T}"
    one, other = (Webhook(address(f"https://x/?token={word}")).queue for word in "ab")
    assert one != other
    assert "token=a" not in one


def test_through_every_kind_of_failure_each_event_is_taken_once_and_in_order(receiver, tmp_path, monkeypatch):
    monkeypatch.setattr(feeding, "_RETRY_S", (0.001, 0.002))
    for answer in [(500, {}), (200, {}), (429, {}), None, (404, {}), (200, {}), (301, {}), (503, {})] * 2:
        receiver.answers.put(answer)
    store = open_store(tmp_path / "store", print)
    writer = Writer(store, print)
    made = WebhookOutput(Webhook(address(f"http://127.0.0.1:{receiver.port}/"), timeout=0.2))
    sent = store.ledger.register("hook", ("belt",))
    feeder = Feeder(
        Wanted("hook", ("belt",), lambda _: made), made, open_reader(tmp_path / "store"), writer, sent, print
    )
    for number in range(100):
        writer.put(event(number))
    assert writer.drain(PATIENCE) == 0
    assert feeder.drain(PATIENCE)
    feeder.close()
    writer.close()
    assert list(dict.fromkeys(ids(receiver))) == [event(number).event_id for number in range(100)]
    assert receiver.answers.empty()


@pytest.mark.parametrize("url", ["ftp://x/", "http://me:pw@x/", "http:///x", "http://x/#a", "http://x/ü"])
def test_what_is_no_address_is_said(url):
    with pytest.raises(ValueError, match="an address"):
        Webhook(address(url))


def test_a_secret_that_only_looks_like_one_is_said():
    with pytest.raises(UsageError, match="no base64"):
        WebhookOutput(Webhook(address("http://x/"), secret=Secret("a", "whsec_!")))

"""TLS, tokens and plaintext, with real certificates, processes and sockets."""

import asyncio
import re
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from caffe_filler.errors import InvalidArgument, Unauthenticated, Unavailable
from caffe_filler.v1 import filler_pb2, filler_pb2_grpc
from filler_client import AsyncFillerClient, FillerClient, RetryPolicy, Tls
from filler_server.service.settings import TlsFiles
from filler_server.service.tls import server_credentials
from filler_server.service.tokens import TokenFile
from tests.client.cli.command import fail, run, succeed
from tests.processes import ServerProcess
from tests.service.certificates import Authority, Pem

ONCE = RetryPolicy(attempts=1)
TOKEN = "correct-horse.battery~staple+/=="


def presented(address: str) -> str:
    """The certificate that a server shows."""
    host, _, port = address.rpartition(":")
    return ssl.get_server_certificate((host, int(port)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("security")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def client_pem(authority: Authority) -> Pem:
    return authority.sign("client", "rank3.example.com", common_name="rank3")


@pytest.fixture(scope="module")
def tokens(folder: Path) -> Path:
    file = folder / "tokens"
    file.write_text(f"# of the training cluster\n\n{TOKEN}\n  other-token  \n")
    return file


@pytest.fixture(scope="module")
def secured(authority: Authority, tokens: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that speaks TLS and wants a token, on a port, on a Unix socket, and on one for probes."""
    pem = authority.sign("server", "localhost", "127.0.0.1")
    socket = tmp_path_factory.mktemp("socket") / "filler.sock"
    process = ServerProcess(
        *pem.server_options,
        *("--token-file", str(tokens), "--listen", f"unix:{socket}", "--health-listen", "127.0.0.1:0"),
    )
    process.wait_for("serving on unix:")
    yield process
    assert process.stop() == 0, process.log


@pytest.fixture
def tls(authority: Authority) -> Tls:
    return Tls(ca=authority.ca)


def test_a_client_with_the_authority_and_a_token_fills(secured: ServerProcess, tls: Tls) -> None:
    expected = FillerClient.embedded().fill("msra", (300, 1000), seed=5)
    with FillerClient(secured.address, credentials=tls, token=TOKEN) as client:
        np.testing.assert_array_equal(client.fill("msra", (300, 1000), seed=5), expected)

    async def fill() -> Any:
        async with AsyncFillerClient(secured.address, credentials=tls, token=TOKEN) as client:
            return await client.fill("msra", (300, 1000), seed=5)

    np.testing.assert_array_equal(asyncio.run(fill()), expected)


def test_the_command_line_does_too(secured: ServerProcess, authority: Authority, tokens: Path, folder: Path) -> None:
    token_file, target = folder / "token", folder / "filled.npy"
    token_file.write_text(TOKEN + "\n")
    arguments = ("fill", "msra", "--shape", "30,40", "-o", target, "--server", secured.address)
    secrets = ("--tls-ca", authority.ca, "--token-file", token_file)
    succeed(*arguments, *secrets)
    np.testing.assert_array_equal(np.load(target), FillerClient.embedded().fill("msra", (30, 40)))
    env = {"FILLER_TLS_CA": str(authority.ca), "FILLER_TOKEN": TOKEN, "FILLER_SERVER": secured.address}
    assert b"msra" in succeed("fillers", env=env)
    assert "once; --token-file FILE or FILLER_TOKEN shows one. Received: 0 tokens" in fail(
        1, *arguments, "--tls-ca", authority.ca
    )
    done = run("fillers", env={**env, "FILLER_TOKEN": "wrong"})
    assert (done.returncode, b"invalid token" in done.stderr) == (1, True)


def test_a_server_of_another_authority_is_not_spoken_to(secured: ServerProcess, tmp_path: Path) -> None:
    with (
        FillerClient(
            secured.address, credentials=Tls(ca=Authority(tmp_path).ca), token=TOKEN, retry=ONCE, timeout=20
        ) as client,
        pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        client.list_fillers()
    assert TOKEN not in secured.log


ADVICE: dict[str, tuple[str, dict[str, Any], list[str], str, str]] = {
    "plaintext to TLS": (
        *("tls", {}, []),
        r"the server closes the connection: if it speaks TLS, give credentials=Tls\(\.\.\.\) \(.*Socket closed",
        "if it speaks TLS, give --tls or --tls-ca FILE (",
    ),
    "TLS to plaintext": (
        *("plain", {"credentials": Tls()}, ["--tls"]),
        r"the server does not speak TLS: leave out credentials=\.\.\., or ask another port \(.*WRONG_VERSION_NUMBER",
        "the server does not speak TLS: leave out the --tls options, or ask another port (",
    ),
    "an unknown authority": (
        *("tls", {"credentials": Tls()}, ["--tls"]),
        r"the authority of .* is not trusted: credentials=Tls\(ca=\.\.\.\) names .*CERTIFICATE_VERIFY_FAILED",
        "certificate is not trusted: --tls-ca FILE names the file with it (",
    ),
}


@pytest.mark.parametrize("case", ADVICE)
def test_a_connection_that_does_not_come_about_is_explained(
    secured: ServerProcess, server: ServerProcess, case: str
) -> None:
    which, security, flags, python, cli = ADVICE[case]
    address = (secured if which == "tls" else server).address
    with (
        FillerClient(address, retry=ONCE, timeout=20, **security) as client,
        pytest.raises(Unavailable, match=f"^{address}: {python}"),
    ):
        client.list_fillers()

    async def call() -> None:
        async with AsyncFillerClient(address, retry=ONCE, timeout=20, **security) as client:
            await client.list_fillers()

    with pytest.raises(Unavailable, match=f"^{address}: {python}"):
        asyncio.run(call())
    assert f"{address}: UNAVAILABLE: " in (said := fail(1, "health", "--server", address, "--timeout", "1", *flags))
    assert cli in said
    assert cli in fail(1, "fillers", "--server", address, "--retry-for", "1", *flags)


def test_files_that_are_not_certificates_are_named(secured: ServerProcess, folder: Path) -> None:
    none = folder / "none.pem"
    none.write_text("none")
    with (
        FillerClient(secured.address, credentials=Tls(ca=none), retry=ONCE) as client,
        pytest.raises(Unavailable, match=r"the files of Tls\(\.\.\.\) are not certificates and a key in PEM \("),
    ):
        client.list_fillers()


def test_the_name_in_the_certificate_counts(authority: Authority) -> None:
    pem = authority.sign("elsewhere", "filler.example.com")
    process = ServerProcess(*pem.server_options)
    with (
        FillerClient(process.address, credentials=Tls(ca=authority.ca), retry=ONCE) as client,
        pytest.raises(Unavailable, match=r"has another name than the address: Tls\(server_name=\.\.\.\) says which"),
    ):
        client.list_fillers()
    named = Tls(ca=authority.ca, server_name="filler.example.com")
    with FillerClient(process.address, credentials=named, retry=ONCE) as client:
        assert client.list_fillers().fillers
    assert process.stop() == 0


def test_plaintext_gets_nothing_from_a_port_with_tls(secured: ServerProcess) -> None:
    with FillerClient(secured.address, retry=ONCE, token=TOKEN) as client, pytest.raises(Unavailable):
        client.list_fillers()


REFUSED = {
    "none": None,
    "unknown": "Bearer wrong",
    "another scheme": f"Basic {TOKEN}",
    "a beginning": f"Bearer {TOKEN[:-3]}",
    "one more": f"Bearer {TOKEN}x",
    "empty": "Bearer ",
    "a comment of the file": "Bearer #",
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize(
    "method", ["ListFillers", "PlanNet", "UpgradeNet", "Fill", "FillNet", "Digest", "NoSuchMethod"]
)
def test_every_method_wants_a_known_token(secured: ServerProcess, tls: Tls, method: str, case: str) -> None:
    given = REFUSED[case]
    metadata = [] if given is None else [("authorization", given)]
    with grpc.secure_channel(secured.address, tls.channel_credentials()) as channel:
        call = channel.unary_stream(f"/caffe_filler.v1.FillerService/{method}")
        with pytest.raises(grpc.RpcError) as caught:
            list(call(b"\xff" * 100, metadata=metadata, timeout=20))
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "token" in caught.value.details()


def test_two_authorizations_are_none(secured: ServerProcess, tls: Tls) -> None:
    metadata = [("authorization", f"Bearer {TOKEN}"), ("authorization", "Bearer wrong")]
    with grpc.secure_channel(secured.address, tls.channel_credentials()) as channel:
        stub = filler_pb2_grpc.FillerServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.ListFillers(filler_pb2.ListFillersRequest(), metadata=metadata, timeout=20)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_reflection_stands_behind_the_token(secured: ServerProcess, tls: Tls) -> None:
    with grpc.secure_channel(secured.address, tls.channel_credentials()) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            ProtoReflectionDescriptorDatabase(channel).get_services()
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    call = grpc.access_token_call_credentials(TOKEN)
    with grpc.secure_channel(
        secured.address, grpc.composite_channel_credentials(tls.channel_credentials(), call)
    ) as channel:
        assert "caffe_filler.v1.FillerService" in ProtoReflectionDescriptorDatabase(channel).get_services()


def test_probes_need_neither_token_nor_certificate(secured: ServerProcess, tls: Tls) -> None:
    check = health_pb2.HealthCheckRequest(service="caffe_filler.v1.FillerService")
    with grpc.secure_channel(secured.address, tls.channel_credentials()) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(check, timeout=20)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    with grpc.insecure_channel(secured.wait_for(r"health checks alone on (\S+)")) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        assert stub.Check(check, timeout=20).status == health_pb2.HealthCheckResponse.SERVING
        for call in (
            lambda: filler_pb2_grpc.FillerServiceStub(channel).ListFillers(filler_pb2.ListFillersRequest(), timeout=20),
            lambda: list(stub.Watch(check, timeout=20)),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                call()
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_unix_socket_needs_no_tls_but_the_token(secured: ServerProcess) -> None:
    address = secured.wait_for(r"serving on (unix:[^ ]+)")
    with FillerClient(address, token=TOKEN) as client:
        assert client.list_fillers().fillers
    with FillerClient(address, retry=ONCE) as client, pytest.raises(Unauthenticated, match="needs a token"):
        client.list_fillers()


def test_the_log_has_no_token(secured: ServerProcess) -> None:
    assert "UNAUTHENTICATED" in secured.log
    for secret in (TOKEN, TOKEN[:-3], "other-token"):
        assert secret not in secured.log


def test_clients_show_certificates_where_the_server_wants_them(
    authority: Authority, client_pem: Pem, tmp_path: Path
) -> None:
    pem = authority.sign("mutual", "localhost", "127.0.0.1")
    process = ServerProcess(*pem.server_options, "--tls-client-ca", str(authority.ca))
    stranger = Authority(tmp_path).sign("stranger", "rank3.example.com")
    own = Tls(ca=authority.ca, certificate=client_pem.certificate, key=client_pem.key)
    with FillerClient(process.address, credentials=own) as client:
        assert client.fill("constant", (3,)).tolist() == [0, 0, 0]
    process.wait_for("client='rank3'")
    for other in (Tls(ca=authority.ca), Tls(ca=authority.ca, certificate=stranger.certificate, key=stranger.key)):
        with FillerClient(process.address, credentials=other, retry=ONCE) as client, pytest.raises(Unavailable):
            client.list_fillers()
    assert process.stop() == 0


def test_a_client_reads_its_own_files_anew_when_they_change(tmp_path: Path) -> None:
    first, second = Authority(tmp_path, "first"), Authority(tmp_path, "second")
    current = tmp_path / "ca.pem"
    server = first.sign("server", "127.0.0.1")
    own = first.sign("client", "rank3.example.com")

    def trust(authority: Authority) -> None:
        (tmp_path / "new.pem").write_bytes(authority.ca.read_bytes())
        (tmp_path / "new.pem").replace(current)

    trust(first)
    process = ServerProcess(*server.server_options, "--tls-client-ca", str(current))
    credentials = Tls(ca=current, certificate=own.certificate, key=own.key)

    async def both() -> None:
        async with AsyncFillerClient(process.address, credentials=credentials, retry=ONCE) as asynchronous:
            with FillerClient(process.address, credentials=credentials, retry=ONCE) as client:
                for authority in (first, second):
                    authority.sign("client", "rank3.example.com")
                    authority.sign("server", "127.0.0.1")
                    trust(authority)
                    assert client.list_fillers().fillers
                    assert (await asynchronous.list_fillers()).fillers

    asyncio.run(both())
    process.wait_for("read the certificate anew")
    assert process.stop() == 0


def test_certificates_and_tokens_are_read_anew_when_they_change(authority: Authority, tmp_path: Path) -> None:
    pem = authority.sign("changing", "localhost", "127.0.0.1")
    tokens = tmp_path / "tokens"
    tokens.write_text("first\n")
    process = ServerProcess(*pem.server_options, "--token-file", str(tokens))
    tls = Tls(ca=authority.ca)
    with FillerClient(process.address, credentials=tls, token="first", retry=ONCE) as client:
        stream = client.pieces(_fill(2**28))
        next(stream)
        before = presented(process.address)
        assert before == presented(process.address)

        authority.sign("changing", "localhost", "127.0.0.1")
        after = presented(process.address)
        assert after != before
        assert ssl.PEM_cert_to_DER_cert(after) == ssl.PEM_cert_to_DER_cert(pem.certificate.read_text())

        tokens.write_text("second\n")
        with pytest.raises(Unauthenticated):
            client.list_fillers()
        # What had begun goes on.
        assert sum(len(piece.data) for piece in stream) > 2**27

    # Key and certificate that do not belong together change nothing, and the log says so.
    other = authority.sign("other", "localhost", "127.0.0.1")
    key = pem.key.read_bytes()
    pem.key.write_bytes(other.key.read_bytes())
    assert presented(process.address) == after
    process.wait_for("the certificate stays as it was")
    pem.key.write_bytes(key)
    tokens.write_text("two words\n")
    with FillerClient(process.address, credentials=tls, token="second", retry=ONCE) as client:
        assert client.list_fillers().fillers
        process.wait_for("the tokens stay as they were")
        tokens.write_text("# nobody\n")
        with pytest.raises(Unauthenticated):
            client.list_fillers()
        tokens.unlink()
        with pytest.raises(Unauthenticated):
            client.list_fillers()
    assert process.stop() == 0


def _fill(nbytes: int) -> filler_pb2.FillRequest:
    request = filler_pb2.FillRequest()
    blob = request.blobs.add()
    blob.filler.type = "xavier"
    blob.shape.dim.extend([nbytes // 4096, 1024])
    return request


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", ":0"])
def test_no_plaintext_where_others_can_read_it(address: str, tokens: Path) -> None:
    for options in ((), ("--token-file", tokens)):
        message = fail(1, "serve", "--listen", "localhost:0", "--listen", address, *options)
        assert "--tls-certificate" in message
        assert f"or say --insecure. Received: listen={address}\n" in message


def test_insecure_says_so() -> None:
    process = ServerProcess("--insecure", listen="0.0.0.0:0")
    with FillerClient(f"127.0.0.1:{process.address.rpartition(':')[2]}") as client:
        assert client.list_fillers().fillers
    assert process.stop() == 0


def test_files_that_cannot_be_used_are_refused(authority: Authority, tokens: Path, tmp_path: Path) -> None:
    one, other = authority.sign("one", "localhost"), authority.sign("another", "localhost")
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n")
    cases: dict[str, Callable[[], Any]] = {
        "key values mismatch": lambda: server_credentials(TlsFiles(one.certificate, other.key)),
        f"certificate={broken}": lambda: server_credentials(TlsFiles(broken, one.key)),
        "cannot read absent.key: No such file": lambda: server_credentials(
            TlsFiles(one.certificate, Path("absent.key"))
        ),
        f"client_ca={broken}": lambda: server_credentials(TlsFiles(one.certificate, one.key, broken)),
        "cannot read absent: No such file": lambda: TokenFile(Path("absent")),
        f"{broken}:2: a bearer token": lambda: TokenFile(_written(broken, "fine\nnot fine\n")),
        "at most 1024 tokens. Received: 1025": lambda: TokenFile(_written(broken, "token\n" * 1025)),
        "at least one": lambda: TokenFile(_written(broken, "# none\n")),
    }
    for text, make in cases.items():
        with pytest.raises(InvalidArgument, match=re.escape(text)) as caught:
            make()
        assert "not fine" not in str(caught.value)


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_token_file_is_looked_at_for_each_call(tmp_path: Path) -> None:
    tokens = TokenFile(_written(tmp_path / "tokens", "first\nsecond"))
    assert [tokens.accepts(token) for token in ("first", "second", "third", "", "firs", "first ")] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]
    _written(tmp_path / "new", "third").replace(tmp_path / "tokens")
    assert [tokens.accepts(token) for token in ("first", "third")] == [False, True]

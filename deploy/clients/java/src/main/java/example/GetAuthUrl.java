package example;

import com.authurl.v1.AuthUrlServiceGrpc;
import com.authurl.v1.GetAuthUrlRequest;
import com.authurl.v1.GetAuthUrlResponse;
import com.google.gson.Gson;
import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RequestInfo;
import com.google.rpc.RetryInfo;
import io.grpc.ChannelCredentials;
import io.grpc.EquivalentAddressGroup;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.NameResolver;
import io.grpc.NameResolverProvider;
import io.grpc.NameResolverRegistry;
import io.grpc.Status;
import io.grpc.StatusOr;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import io.grpc.health.v1.HealthCheckRequest;
import io.grpc.health.v1.HealthGrpc;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.MetadataUtils;
import java.io.File;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import java.util.stream.Stream;

/**
 * Asks authurl for authorization URLs as a service in production does: with a deadline, retries, all replicas in turn,
 * only those that are well, and errors read to their details.
 *
 * <p>Arguments: NETWORK [TENANT_ID [COUNT]]. In the environment: AUTHURL_ADDRESS: host:port, or another target of gRPC
 * such as dns:///authurl.internal:50051; address:port,address:port for several. AUTHURL_API_KEY: a key of role ROLE_ORG
 * or ROLE_MINT. AUTHURL_CA_FILE, AUTHURL_CERT_FILE and AUTHURL_KEY_FILE: for a server with TLS, which asks for a
 * certificate. Prints the last URL. Exit code 1: the server said no.
 */
public final class GetAuthUrl {
  /** Of one call, its retries included. */
  private static final Duration DEADLINE = Duration.ofSeconds(5);

  /** How long to wait for room under the rate limit. */
  private static final Duration PATIENCE = Duration.ofSeconds(30);

  /** Retries, replicas in turn, and none of those that say they are not well. */
  private static final Path SERVICE_CONFIG = Path.of("authurl-protos/authurl/v1/service_config.json");

  private GetAuthUrl() {}

  private static ChannelCredentials credentials() throws IOException {
    String ca = System.getenv("AUTHURL_CA_FILE");
    if (ca == null) return InsecureChannelCredentials.create();
    return TlsChannelCredentials.newBuilder()
        .trustManager(new File(ca))
        .keyManager(new File(System.getenv("AUTHURL_CERT_FILE")), new File(System.getenv("AUTHURL_KEY_FILE")))
        .build();
  }

  /** A name in DNS has all replicas' addresses. Where there is none, they are listed: {@code listed:///a:1,b:1}. */
  private static final class ListedAddresses extends NameResolverProvider {
    @Override
    protected boolean isAvailable() {
      return true;
    }

    @Override
    protected int priority() {
      return 5;
    }

    @Override
    public String getDefaultScheme() {
      return "listed";
    }

    @Override
    public NameResolver newNameResolver(URI target, NameResolver.Args args) {
      if (!"listed".equals(target.getScheme())) return null;
      String list = target.getPath().substring(1);
      return new NameResolver() {
        @Override
        public String getServiceAuthority() {
          return "authurl";
        }

        @Override
        public void start(Listener2 listener) {
          var addresses = Stream.of(list.split(",")).map(ListedAddresses::parse).toList();
          listener.onResult(ResolutionResult.newBuilder().setAddressesOrError(StatusOr.fromValue(addresses)).build());
        }

        @Override
        public void shutdown() {}
      };
    }

    private static EquivalentAddressGroup parse(String address) {
      int colon = address.lastIndexOf(':');
      int port = Integer.parseInt(address.substring(colon + 1));
      return new EquivalentAddressGroup(new InetSocketAddress(address.substring(0, colon), port));
    }
  }

  private static ManagedChannel connect() throws IOException {
    String target = System.getenv("AUTHURL_ADDRESS");
    if (target.contains(",")) {
      NameResolverRegistry.getDefaultRegistry().register(new ListedAddresses());
      target = "listed:///" + target;
    }
    @SuppressWarnings("unchecked")
    Map<String, ?> config = new Gson().fromJson(Files.readString(SERVICE_CONFIG), Map.class);
    return Grpc.newChannelBuilder(target, credentials()).enableRetry().defaultServiceConfig(config).build();
  }

  /** What the server says of that kind beside code and message. */
  private static <T extends Message> Optional<T> detailOf(StatusRuntimeException error, Class<T> kind) {
    var status = StatusProto.fromThrowable(error);
    if (status == null) return Optional.empty();
    for (Any detail : status.getDetailsList()) {
      if (!detail.is(kind)) continue;
      try {
        return Optional.of(detail.unpack(kind));
      } catch (InvalidProtocolBufferException unreadable) {
        return Optional.empty();
      }
    }
    return Optional.empty();
  }

  private static void report(StatusRuntimeException error) {
    Status status = error.getStatus();
    String reason = detailOf(error, ErrorInfo.class).map(ErrorInfo::getReason).orElse("");
    System.out.printf("error: %s %s: %s%n", status.getCode(), reason, status.getDescription());
    detailOf(error, BadRequest.class)
        .ifPresent(
            faults ->
                faults
                    .getFieldViolationsList()
                    .forEach(fault -> System.out.printf("  %s: %s%n", fault.getField(), fault.getDescription())));
    // The server's log has it, too.
    detailOf(error, RequestInfo.class).ifPresent(info -> System.out.println("  request id: " + info.getRequestId()));
  }

  private static int waits = 0;

  /** Calls again when the server says when. */
  private static <T> T patiently(Supplier<T> call) throws InterruptedException {
    Instant giveUp = Instant.now().plus(PATIENCE);
    while (true) {
      try {
        return call.get();
      } catch (StatusRuntimeException error) {
        var retry = detailOf(error, RetryInfo.class).map(RetryInfo::getRetryDelay);
        if (error.getStatus().getCode() != Status.Code.RESOURCE_EXHAUSTED || retry.isEmpty()) throw error;
        Duration pause = Duration.ofSeconds(retry.get().getSeconds(), retry.get().getNanos());
        if (Instant.now().plus(pause).isAfter(giveUp)) throw error;
        Thread.sleep(pause.toMillis() + 1);
        ++waits;
      }
    }
  }

  private static void run(ManagedChannel channel, String[] args) throws InterruptedException {
    var health =
        HealthGrpc.newBlockingStub(channel)
            .withDeadlineAfter(DEADLINE.toMillis(), TimeUnit.MILLISECONDS)
            .check(HealthCheckRequest.getDefaultInstance());
    System.out.println("health: " + health.getStatus());

    Metadata metadata = new Metadata();
    metadata.put(
        Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER),
        "Bearer " + System.getenv("AUTHURL_API_KEY"));
    var stub =
        AuthUrlServiceGrpc.newBlockingStub(channel)
            .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(metadata));
    var request = GetAuthUrlRequest.newBuilder().setNetwork(args[0]);
    if (args.length > 1) request.setTenantId(args[1]);
    int count = args.length > 2 ? Integer.parseInt(args[2]) : 1;
    GetAuthUrlResponse reply = null;
    for (int i = 0; i < count; ++i) {
      reply =
          patiently(
              () -> stub.withDeadlineAfter(DEADLINE.toMillis(), TimeUnit.MILLISECONDS).getAuthUrl(request.build()));
    }
    System.out.println("auth_url: " + reply.getAuthUrl());
    System.out.println("waits: " + waits);
  }

  public static void main(String[] args) throws IOException, InterruptedException {
    ManagedChannel channel = connect();
    int code = 0;
    try {
      run(channel, args);
    } catch (StatusRuntimeException error) {
      report(error);
      code = 1;
    } finally {
      channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
    }
    System.exit(code);
  }
}

// Calls the gateway with the client that openapi-generator makes of openapi.yaml for Java.
import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Duration;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.AuthorizationUrlsApi;
import org.openapitools.client.api.SocialAccountsApi;
import org.openapitools.client.api.SocialNetworksApi;
import org.openapitools.client.model.AuthUrlRequest;
import org.openapitools.client.model.BatchAuthUrlsRequest;
import org.openapitools.client.model.CreateSocialNetwork;
import org.openapitools.client.model.DetailsBelow;
import org.openapitools.client.model.Error;
import org.openapitools.client.model.InvalidPayload;
import org.openapitools.client.model.SocialAccountListReply;

public final class Check {
  private static ApiClient client(String key) {
    ApiClient client = new ApiClient();
    client.updateBaseUri(System.getenv("AUTHURL_URL"));
    client.setReadTimeout(Duration.ofSeconds(20));
    client.setRequestInterceptor(request -> request.header("Authorization", "Bearer " + key));
    return client;
  }

  private static void expect(boolean good, Object got) {
    if (!good) throw new AssertionError(String.valueOf(got));
  }

  private interface Call {
    Object make() throws ApiException;
  }

  // What a call was refused with.
  private static <T> T refusal(int status, Class<T> type, Call call) throws Exception {
    try {
      throw new AssertionError(call.make());
    } catch (ApiException e) {
      expect(e.getCode() == status, e);
      return ApiClient.createDefaultObjectMapper().readValue(e.getResponseBody(), type);
    }
  }

  public static void main(String[] arguments) throws Exception {
    ApiClient api = client(System.getenv("AUTHURL_API_KEY"));
    AuthorizationUrlsApi urls = new AuthorizationUrlsApi(api);
    expect(urls.listNetworks(null, null).getData().size() > 40, "few networks");

    String name = "openapi_generator_java";
    var created = new SocialNetworksApi(api).createSocialNetwork(
        new CreateSocialNetwork().network("linkedin").name(name).clientKey("1234").clientSecret("s3cret")
            .defaultRedirectUri("https://app.example.com/cb"), null, null);
    expect(created.getData().getName().equals(name), created);

    var minted = urls.getAuthUrl("linkedin", null, null, new AuthUrlRequest()._configuration(name));
    expect(minted.getData().getAuthUrl().toString().startsWith("https://www.linkedin.com/"), minted);

    AuthUrlRequest faulty = new AuthUrlRequest()._configuration(name).redirectUri("http://app.example.com/cb");
    faulty.setScopes(new LinkedHashSet<>(List.of("openid", "a,b")));
    Map<String, DetailsBelow> details = refusal(400, InvalidPayload.class, () -> urls.getAuthUrl("linkedin", null, null, faulty))
        .getDetails().getAdditionalProperties();
    expect(details.get("redirect_uri").getErrors().size() == 1, details);
    expect(details.get("scopes").getAdditionalProperties().get("1").getErrors().size() == 1, details);

    BatchAuthUrlsRequest batch = new BatchAuthUrlsRequest()._configuration(name);
    batch.setNetworks(new LinkedHashSet<>(List.of("linkedin", "nonsense")));
    var results = urls.batchGetAuthUrls(null, null, batch).getData();
    expect(results.get(0).getSuccess() && results.get(0).getAuthUrl() != null, results);
    expect(!results.get(1).getSuccess() && results.get(1).getDetails().getAdditionalProperties().size() == 1, results);

    var accounts = new SocialAccountsApi(api)
        .listSocialAccounts(null, null, null, null, null, null, null, null, null, null, null, null, null);
    expect(accounts.getTotal() == 0 && accounts.getData().isEmpty(), accounts);

    AuthorizationUrlsApi unknown = new AuthorizationUrlsApi(client(System.getenv("AUTHURL_WRONG_KEY")));
    Error refused = refusal(401, Error.class, () -> unknown.listNetworks(null, null));
    expect(refused.getCode().equals("API_KEY_INVALID"), refused);

    ObjectMapper mapper = ApiClient.createDefaultObjectMapper();
    SocialAccountListReply example = mapper.readValue(System.getenv("AUTHURL_EXAMPLE"), SocialAccountListReply.class);
    expect(example.getData().get(0).getTenantId().equals("customer_42"), example);
    expect("customer_42".equals(example.getData().get(0).getAdditionalProperties().get("tenantId")), example);
  }
}

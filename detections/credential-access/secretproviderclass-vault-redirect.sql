-- /// detection
-- title = "Secrets are fetched from another vault or as another identity"
-- severity = "high"
-- status = "stable"
-- attack = ["T1552", "T1550.001"]
-- section = [4]
-- baseline = "30d"
-- learn = "7d"
-- key = ["cluster", "namespace", "vault", "tenant", "identity"]
-- summary = "{username} wrote ({verb}) SecretProviderClass {namespace}/{name} of {cluster} with vault {vault}, tenant {tenant}, identity {identity}, not seen there in 30 days"
--
-- description = """
-- A SecretProviderClass says which Key Vault, tenant and identity a namespace's pods take secrets from: redirected,
-- pods run with keys an attacker chose, or fetch what an identity of others may read. Fires for a combination not seen
-- in that namespace for 30 days. AKS, lists/workload_deployers.csv and dry runs do not count. Without a body (level
-- Metadata, which the published policy has for custom resources, or cut) the rule stays silent. Says nothing for a
-- cluster until seven days with such writes were seen. Ask whose vault it is.
-- """
-- false_positives = [
--   "A new application set up by hand",
-- ]
-- follow_up = ["secrets-used-by-workloads", "object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    namespace,
    coalesce(object -> 'spec' -> 'parameters' ->> 'keyvaultName', 'not named') AS vault,
    coalesce(object -> 'spec' -> 'parameters' ->> 'tenantId', 'not named') AS tenant,
    coalesce(
        object -> 'spec' -> 'parameters' ->> 'clientID',
        object -> 'spec' -> 'parameters' ->> 'userAssignedIdentityID',
        'not named'
    ) AS identity,
    username,
    verb,
    name,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource = 'secretproviderclasses'
    AND subresource IS NULL
    AND (object -> 'spec' ->> 'parameters') IS NOT NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('workload_deployers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'

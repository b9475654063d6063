-- /// detection
-- title = "A token that lasts more than a day was requested"
-- severity = "high"
-- status = "stable"
-- attack = ["T1098", "T1528"]
-- section = [1]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1h"
-- summary = "{username} had a token of service account {namespace}/{name} issued for {lifetime_seconds} seconds in {cluster}, from {client_ip}"
--
-- description = """
-- A token cannot be revoked; one that lasts days or years is a door that stays open. Kubelets, the control plane and
-- token requesters ask for an hour. The lifetime is in the body: without one (level Metadata, or cut before it) this
-- rule stays silent, and sa-token-requested reports the request. Dry runs do not count. Delete the service account (a
-- new one of the same name does not honour the token) and look at what it did since.
-- """
-- false_positives = [
--   "Tools outside the cluster that were given a long token (Spinnaker, dashboards, CI): move them to workload identity",
-- ]
-- follow_up = ["tokens-created", "identity-timeline", "address-timeline"]
-- ///

SELECT
    cluster,
    username,
    namespace,
    name,
    object -> 'spec' ->> 'expirationSeconds' AS lifetime_seconds,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb = 'create'
    AND resource = 'serviceaccounts'
    AND subresource = 'token'
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node')
    AND try_cast(object -> 'spec' ->> 'expirationSeconds' AS bigint) > 86400
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'

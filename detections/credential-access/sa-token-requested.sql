-- /// detection
-- title = "A service account's token was requested by hand"
-- severity = "high"
-- status = "stable"
-- attack = ["T1528", "T1550.001", "T1552.007"]
-- section = [1]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1h"
-- summary = "{username} had a token of service account {namespace}/{name} issued in {cluster}, from {client_ip}"
--
-- description = """
-- kubectl create token gives its caller the rights of the service account for as long as the token lives, on any machine.
-- Kubelets do the same for every pod and stay silent. The request's body tells the lifetime and audience asked for; the
-- rule does not need it and fires at level Metadata too. A token cannot be revoked: delete the service account, or wait.
-- Look at what that account did since, and from which addresses.
-- """
-- false_positives = [
--   "external-secrets, Vault and other agents that exchange tokens: add them to lists/token_requesters.csv",
--   "Pipelines that log in with kubectl create token: move them to workload identity, or list them",
-- ]
-- follow_up = ["identity-timeline", "address-timeline"]
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
    AND NOT listed('token_requesters', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'

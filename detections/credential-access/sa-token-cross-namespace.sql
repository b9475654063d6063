-- /// detection
-- title = "A workload took a token of another namespace's account"
-- severity = "high"
-- status = "stable"
-- attack = ["T1528"]
-- section = [1]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1h"
-- summary = "{username} had a token of service account {namespace}/{name} issued in {cluster}, from {client_ip}"
--
-- description = """
-- A pod that asks for the token of an account in another namespace leaves the boundary it was put into; attack tools do
-- it as soon as they find the right to. Operators that sign in as workloads are in lists/token_requesters.csv, one by
-- one; accounts of kube-system are not exempt. No body is needed; dry runs do not count. Delete the pod, take the right
-- away, and look at what both accounts did.
-- """
-- false_positives = [
--   "Operators that exchange tokens (Vault, KEDA, Flux with workload identity of tenants, pipelines in the cluster): add them to lists/token_requesters.csv",
-- ]
-- follow_up = ["tokens-created", "identity-timeline", "secrets-read-by-identity"]
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
    AND sa_namespace(username) <> namespace
    AND NOT listed('token_requesters', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'

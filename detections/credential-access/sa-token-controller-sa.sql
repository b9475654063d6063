-- /// detection
-- title = "A token of a control-plane controller was requested"
-- severity = "critical"
-- status = "stable"
-- attack = ["T1528", "T1078.001"]
-- section = [1]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1h"
-- summary = "{username} had a token of the controller account {namespace}/{name} issued in {cluster}, from {client_ip}"
--
-- description = """
-- The accounts of the controllers in kube-system may escalate roles, make any pod or delete anything, and nobody looks
-- at what they do. Only the control plane itself needs their tokens; no pod runs as one of them.
-- lists/controller_accounts.csv names them. No body is needed; dry runs do not count. Find out who asked, treat the
-- cluster as taken over, and look at everything that account did since.
-- """
-- false_positives = [
--   "None known",
-- ]
-- follow_up = ["tokens-created", "identity-timeline", "cluster-admins-by-bindings"]
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
    AND namespace = 'kube-system'
    AND listed('controller_accounts', name)
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'

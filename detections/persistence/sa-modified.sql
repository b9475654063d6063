-- /// detection
-- title = "A service account was changed"
-- severity = "informational"
-- status = "shadow"
-- attack = ["T1098"]
-- section = [1]
-- key = ["cluster", "username", "namespace"]
-- suppress = "1d"
-- summary = "{username} changed ({verb}) service account {namespace}/{name} of {cluster}, from {client_ip}"
--
-- description = """
-- Pull secrets, and the annotations that tie an account to an Azure identity, are on this object; most changes are labels
-- of charts. Counted only (shadow), one for each identity, namespace and day. Controllers and GitOps of
-- lists/sa_managers.csv are left out. No body is needed: annotations is empty at level Metadata.
-- """
-- false_positives = [
--   "Charts that are upgraded",
-- ]
-- follow_up = ["object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    namespace,
    name,
    object -> 'metadata' ->> 'annotations' AS annotations,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('update', 'patch')
    AND resource = 'serviceaccounts'
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('sa_managers', username)
    AND NOT listed('cleanup_controllers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'

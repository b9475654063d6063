-- /// detection
-- title = "A namespace with an unknown name was created"
-- severity = "low"
-- status = "shadow"
-- attack = ["T1610"]
-- section = [5, 6]
-- key = ["cluster", "name"]
-- suppress = "1d"
-- summary = "{username} created namespace {name} of {cluster}, which lists/allowed_namespaces.csv does not know, from {client_ip}"
--
-- description = """
-- Namespaces are few and their names follow a rule; another one is a trial, or a place to hide. Needs your own
-- lists/allowed_namespaces.csv and is shadow until that is filled: the list that is shipped holds those of AKS. AKS itself
-- is left out. No body is needed; dry runs do not count.
-- """
-- false_positives = [
--   "New applications: add the namespace to lists/allowed_namespaces.csv",
-- ]
-- follow_up = ["changes-by-namespace", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    name,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb = 'create'
    AND resource = 'namespaces'
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('allowed_namespaces', name)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'

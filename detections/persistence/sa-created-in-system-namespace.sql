-- /// detection
-- title = "A service account was created in a system namespace"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1136", "T1036.005"]
-- section = [1]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} created service account {namespace}/{name} in {cluster}, from {client_ip}"
--
-- description = """
-- Among the dozens of accounts of kube-system a new one is overlooked, and many tools trust the namespace. AKS makes those
-- of its add-ons itself; Kubernetes' controllers and GitOps are listed one by one, other accounts of kube-system are not
-- exempt. No body is needed; dry runs do not count. See what it is bound to, and remove it if nobody knows of it.
-- """
-- false_positives = [
--   "Agents you install into kube-system: add the identity that deploys them to lists/sa_managers.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline", "cluster-admins-by-bindings"]
-- ///

SELECT
    cluster,
    username,
    verb,
    namespace,
    name,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb = 'create'
    AND resource = 'serviceaccounts'
    AND subresource IS NULL
    AND listed('system_namespaces', namespace)
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('sa_managers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'

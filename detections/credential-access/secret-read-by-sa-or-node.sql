-- /// detection
-- title = "A workload or a node's identity read secrets it does not need"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1552.007", "T1528"]
-- section = [4]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "namespace"]
-- suppress = "1d"
-- summary = "{username} read ({verb}) secrets {where} of {cluster}: {object_name}, with {user_agent}, from {client_ip}"
--
-- description = """
-- A pod gets its secrets mounted; its kubelet fetches them. A service account that reads another namespace's secrets, or
-- any with kubectl, and a node's identity with another program than the kubelet, is a token or certificate in other hands,
-- or an operator nobody listed. Reads of an application's own namespace by its library are secret-get's. Accounts of the
-- system namespaces count too; lists/secret_readers.csv is left out. Only reads that succeeded count. No body is needed.
-- Look for the same identity from other addresses.
-- """
-- false_positives = [
--   "Operators that copy secrets between namespaces: add them to lists/secret_readers.csv",
-- ]
-- follow_up = ["secrets-read-by-identity", "identity-timeline", "address-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    namespace,
    coalesce('of namespace ' || namespace, 'of all namespaces') AS "where",
    name,
    coalesce(name, '*') AS object_name,
    client_ip,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND (status_code BETWEEN 200 AND 299 OR status_code = 101)
    AND resource = 'secrets'
    AND verb IN ('get', 'list', 'watch')
    AND NOT listed('secret_readers', username)
    AND (
        (
            principal_class IN ('service-account', 'system-sa')
            AND (coalesce(namespace, '') <> sa_namespace(username) OR starts_with(lower(user_agent), 'kubectl'))
        )
        OR (principal_class = 'node' AND NOT starts_with(lower(coalesce(user_agent, '')), 'kubelet/'))
    )

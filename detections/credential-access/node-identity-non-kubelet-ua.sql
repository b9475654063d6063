-- /// detection
-- title = "A node's credential was used by something else than the kubelet"
-- severity = "critical"
-- status = "stable"
-- attack = ["T1078.001", "T1552.004"]
-- section = [1, 7]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "user_agent"]
-- suppress = "1d"
-- summary = "{username} was used on {cluster} with {user_agent} from {client_ip}: first {verb} {request_uri} ({status_code})"
--
-- description = """
-- The node's certificate is on its disk, and whoever escapes from a container finds it there; with it they read the
-- secrets of all pods of the node. The kubelet and the node's own agents (lists/node_user_agents.csv) name themselves;
-- curl, kubectl or nothing at all is a person. AKS's scripts on the node run kubectl to read and label their own node;
-- that alone is left out, not kubectl. A client can lie about its name, so silence proves nothing. Refused requests
-- count. No body is needed. Remove the node, and look at everything that identity and address did.
-- """
-- false_positives = [
--   "Agents of yours that use the kubelet's kubeconfig: give them a service account, or add them to lists/node_user_agents.csv",
-- ]
-- follow_up = ["identity-timeline", "address-timeline", "secrets-read-by-identity"]
-- ///

SELECT
    cluster,
    username,
    verb,
    request_uri,
    status_code,
    client_ip,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND principal_class = 'node'
    AND NOT listed('node_user_agents', user_agent)
    AND NOT coalesce(
        starts_with(user_agent, 'kubectl/')
        AND (
            resource IS NULL
            OR (
                resource = 'nodes'
                AND subresource IS NULL
                AND verb IN ('get', 'patch')
                AND name = substr(username, 13)
            )
        ),
        false
    )

-- /// detection
-- title = "A pod's token was used by hand after somebody entered the pod"
-- severity = "high"
-- status = "stable"
-- attack = ["T1609", "T1528", "T1550.001"]
-- section = [5, 1]
-- categories = ["kube-audit"]
-- window = "1h"
-- step = "1m"
-- suppress = "1h"
-- key = ["cluster", "namespace", "pod_name"]
-- summary = "{username} entered pod {namespace}/{pod_name} of {cluster}, and then its token ({account}) was used with {agents}, from {client_ip}"
--
-- description = """
-- Who gets a shell in a pod reads its token and goes on as the workload, with more rights or less trace. An exec or
-- attach that worked, and within an hour the first request of the hour with that pod's token by curl, kubectl, a script,
-- or from a public address outside lists/cluster_networks.csv. A pod that was used so before the exec stays silent. The
-- pod is known from the token (Kubernetes 1.30 on); older and long-lived tokens do not tell it, see sa-used-by-kubectl.
-- Identities of lists/exec_allowed.csv are left out. No body is needed. Ask who was in the pod, and delete it: its token
-- ends with it.
-- """
-- false_positives = [
--   "Debugging of what a pod may do; toolbox pods that hold kubectl for people to enter",
-- ]
-- follow_up = ["exec-sessions", "identity-timeline", "address-timeline"]
-- ///

SELECT
    cluster,
    namespace,
    pod_name,
    min(username) FILTER (WHERE entered) AS username,
    min(username) FILTER (WHERE NOT entered) AS account,
    substr(string_agg(DISTINCT CASE WHEN NOT entered THEN user_agent END, ', ' ORDER BY CASE WHEN NOT entered THEN user_agent END), 1, 300) AS agents,
    min(client_ip) FILTER (WHERE NOT entered) AS client_ip,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM (
    SELECT
        cluster,
        username,
        client_ip,
        user_agent,
        time,
        coalesce(subresource IN ('exec', 'attach') AND principal_class NOT IN ('service-account', 'system-sa'), false) AS entered,
        CASE WHEN principal_class IN ('service-account', 'system-sa') THEN sa_namespace(username) ELSE namespace END AS namespace,
        CASE
            WHEN principal_class IN ('service-account', 'system-sa') THEN user_extra -> 'authentication.kubernetes.io/pod-name' ->> 0
            ELSE name
        END AS pod_name
    FROM audit
    WHERE
        stage IN ('ResponseComplete', 'ResponseStarted')
        AND (
            (
                resource = 'pods'
                AND subresource IN ('exec', 'attach')
                AND (status_code BETWEEN 200 AND 299 OR status_code = 101)
                AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'service-account', 'system-sa')
                AND NOT listed('exec_allowed', username)
            )
            OR (
                principal_class IN ('service-account', 'system-sa')
                AND (user_extra -> 'authentication.kubernetes.io/pod-name' ->> 0) IS NOT NULL
                AND (
                    regexp_like(lower(user_agent), '^(kubectl|curl|wget|python|aiohttp|httpx|okhttp|go-http-client|mozilla|powershell|k9s|helm)')
                    OR (is_public(client_ip) AND NOT listed('cluster_networks', client_ip))
                )
            )
        )
) AS used
GROUP BY cluster, namespace, pod_name
HAVING min(time) FILTER (WHERE entered) < min(time) FILTER (WHERE NOT entered)

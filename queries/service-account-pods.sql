-- /// query
-- title = "Which pods and nodes used a service account"
-- topic = "workload"
-- section = [1, 5]
-- see_also = ["identity-timeline", "service-accounts-from-outside"]
--
-- description = """
-- The pods, nodes and addresses that requests of a service account came from, as
-- its token says. A bound token names the pod it was made for: a request with a
-- pod's name from an address that is not the cluster's was made with a token that
-- was taken out of that pod. Tokens that were asked for by hand, and long-lived
-- ones from secrets, name no pod.
-- """
--
-- example = { account = "system:serviceaccount:shop:web-frontend" }
--
-- [params]
-- account = { type = "string", description = "User name of the service account; all if not given", required = false }
-- ///

SELECT
    cluster,
    username,
    user_extra -> 'authentication.kubernetes.io/pod-name' ->> 0 AS pod,
    user_extra -> 'authentication.kubernetes.io/node-name' ->> 0 AS node,
    user_extra -> 'authentication.kubernetes.io/credential-id' ->> 0 AS credential,
    client_ip,
    array_to_string(array_sort(array_agg(DISTINCT split_part(user_agent, ' ', 1))), ', ') AS agents,
    count(DISTINCT audit_id) AS requests,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    sa_name(username) IS NOT NULL
    AND ($account IS NULL OR username = $account)
GROUP BY 1, 2, 3, 4, 5, 6
ORDER BY cluster, username, first_seen, pod, client_ip

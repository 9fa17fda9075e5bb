import Testing

@testable import MQLockRabbitMQ

@Suite("AMQP URI")
struct AMQPURITests {
    struct Row: Sendable, CustomTestStringConvertible {
        let uri: String
        let expected: Endpoint

        init(_ uri: String, _ change: (inout Endpoint) -> Void = { _ in }) {
            self.uri = uri
            var endpoint = Endpoint()
            change(&endpoint)
            expected = endpoint
        }

        var testDescription: String { uri }
    }

    // The first block is appendix A of the URI specification.
    static let accepted: [Row] = [
        Row("amqp://user:pass@host:10000/vhost") {
            ($0.user, $0.password, $0.host, $0.port, $0.vhost) = ("user", "pass", "host", 10000, "vhost")
        },
        Row("amqp://user%61:%61pass@ho%61st:10000/v%2fhost") {
            ($0.user, $0.password, $0.host, $0.port, $0.vhost) = ("usera", "apass", "hoast", 10000, "v/host")
        },
        Row("amqp://"),
        Row("amqp://:@/") {
            ($0.user, $0.password, $0.vhost, $0.withoutBareSlash) = ("", "", "", "amqp://:***@")
        },
        Row("amqp://user@") { ($0.user, $0.password) = ("user", "") },
        Row("amqp://user:pass@") { ($0.user, $0.password) = ("user", "pass") },
        Row("amqp://host") { $0.host = "host" },
        Row("amqp://:10000") { $0.port = 10000 },
        Row("amqp:///vhost") { $0.vhost = "vhost" },
        Row("amqp://host/") { ($0.host, $0.vhost, $0.withoutBareSlash) = ("host", "", "amqp://host") },
        Row("AMQP://u:p:q@[::1]:1/?heartbeat=2&proof=quorum&x=secret&flag") {
            ($0.user, $0.password, $0.host, $0.port, $0.heartbeat) = ("u", "p:q", "::1", 1, 2)
            ($0.vhost, $0.extra) = ("", ["proof": "quorum", "x": "secret", "flag": ""])
            $0.withoutBareSlash = "AMQP://u:***@[::1]:1?heartbeat=2&proof=quorum&***&***"
        },
        Row("amqp://host/%2f") { $0.host = "host" },
        Row("amqp://host/%2F") { $0.host = "host" },
        Row("amqp://[::1]") { $0.host = "::1" },

        Row("AMQP://host") { $0.host = "host" },
        Row("amqps://host") { ($0.host, $0.port, $0.tls) = ("host", 5671, Endpoint.TLS()) },
        Row("amqps://host:1/x") { ($0.host, $0.port, $0.vhost, $0.tls) = ("host", 1, "x", Endpoint.TLS()) },
        Row("amqp://host:") { $0.host = "host" },
        Row("amqp://[fe80::1%25eth0]:65535/v") { ($0.host, $0.port, $0.vhost) = ("fe80::1%eth0", 65535, "v") },
        Row("amqp://u:p:q@h") { ($0.user, $0.password, $0.host) = ("u", "p:q", "h") },
        Row("amqp://u:p%40%3a%2f@h") { ($0.user, $0.password, $0.host) = ("u", "p@:/", "h") },
        Row("amqp://u:p@a,b:5672/v?heartbeat=5") {
            ($0.user, $0.password, $0.host, $0.vhost, $0.heartbeat) = ("u", "p", "a", "v", 5)
            $0.furtherHosts = [.init(name: "b", port: 5672)]
        },
        Row("amqp://a:1,b,[::1]:2,[::2]") {
            ($0.host, $0.port) = ("a", 1)
            $0.furtherHosts = [
                .init(name: "b", port: 5672), .init(name: "::1", port: 2), .init(name: "::2", port: 5672),
            ]
        },
        Row("amqps://a,b:1") {
            ($0.host, $0.port, $0.tls, $0.furtherHosts) = ("a", 5671, Endpoint.TLS(), [.init(name: "b", port: 1)])
        },
        Row("amqp://a%2cb") { $0.host = "a,b" },
        Row("amqp://h/caf%C3%A9") { ($0.host, $0.vhost) = ("h", "café") },
        Row("amqp://h/a+b") { ($0.host, $0.vhost) = ("h", "a+b") },
        Row("amqp://h?") { $0.host = "h" },
        Row("amqp://h?&&heartbeat=10") { $0.host = "h" },
        Row("amqp://h?heartbeat=5") { ($0.host, $0.heartbeat) = ("h", 5) },
        Row("amqp://h?heartbeat=5s") { ($0.host, $0.heartbeat) = ("h", 5) },
        Row("amqp://h/v?heartbeat=1") { ($0.host, $0.vhost, $0.heartbeat) = ("h", "v", 1) },
        Row("amqp://h?connection_timeout=2500") { ($0.host, $0.connectionTimeout) = ("h", .milliseconds(2500)) },
        Row("amqp://h?channel_max=17") { ($0.host, $0.channelMax) = ("h", 17) },
        Row("amqp://h?channel_max=0") { ($0.host, $0.channelMax) = ("h", 65535) },
        Row("amqp://h?frame_max=8192") { ($0.host, $0.frameMax) = ("h", 8192) },
        Row("amqp://h?auth_mechanism=external") { ($0.host, $0.mechanism) = ("h", .external) },
        Row("amqp://h?auth_mechanism=PLAIN") { $0.host = "h" },
        Row("amqp://h?proof=quorum&x=a%26b%3D") { ($0.host, $0.extra) = ("h", ["proof": "quorum", "x": "a&b="]) },
        Row("amqp://h?flag") { ($0.host, $0.extra) = ("h", ["flag": ""]) },
        Row("amqps://h?insecure=false") { ($0.host, $0.port, $0.tls) = ("h", 5671, Endpoint.TLS()) },
        Row("amqps://h?insecure=true") {
            ($0.host, $0.port, $0.tls) = ("h", 5671, Endpoint.TLS(verifiesPeer: false))
        },
        Row("amqps://h?verify=verify_peer&cacertfile=/a%20b/ca.pem&certfile=/c&keyfile=/k&server_name_indication=n") {
            ($0.host, $0.port) = ("h", 5671)
            $0.tls = Endpoint.TLS(
                caCertificateFile: "/a b/ca.pem", certificateFile: "/c", keyFile: "/k", serverName: "n")
        },
    ]

    @Test(arguments: accepted)
    func accepts(_ row: Row) throws {
        #expect(try AMQPURI.parse(row.uri) == row.expected)
    }

    static let refused: [(uri: String, hint: String)] = [
        ("", "begin with amqp://"), ("host", "begin with"), ("http://host", "begin with"), ("amqp:/host", "begin with"),
        ("amqp:host", "begin with"), (" amqp://host", "begin with"), ("kafka://secret@host", "begin with"),
        ("amqp://h:0", "port"), ("amqp://h:65536", "port"), ("amqp://h:x", "port"), ("amqp://h:-1", "port"),
        ("amqp://h:+1", "port"), ("amqp://h:5672x", "port"), ("amqp://u:secret@h:99999/v", "port"),
        ("amqp://h/a/b", "%2f"), ("amqp://u:secret/x@h", "%2f"),
        ("amqp://u:secret@x@h", "%40"), ("amqp://u:1/secret@h", "%40"), ("amqp://u:1?secret=secret@h", "%40"),
        ("amqp://h/v@x", "%40"),
        ("amqp://h/%", "hexadecimal"), ("amqp://h/%2", "hexadecimal"), ("amqp://h/%zz", "hexadecimal"),
        ("amqp://u:secret%@h", "hexadecimal"), ("amqp://%x@h", "hexadecimal"), ("amqp://h%/v", "hexadecimal"),
        ("amqp://h?a=%4", "hexadecimal"),
        ("amqp://h/%00", "NUL"), ("amqp://a%00b:secret@h", "NUL"), ("amqp://a:secret%00@h", "NUL"),
        ("amqp://h%00h", "NUL"),
        ("amqp://h/%ff", "UTF-8"), ("amqp://%c3:secret@h", "UTF-8"),
        ("amqp://h/a b", "blank"), ("amqp://h/\n", "blank"), ("amqp://h/é", "ASCII"), ("amqp://h/\u{301}", "ASCII"),
        ("amqp://h/v#secret", "%23"),
        ("amqp://[::1", "]"), ("amqp://[::1]x", "]"), ("amqp://[host]", "IPv6"), ("amqp://::1", "[ ]"),
        ("amqp://h]", "out of place"),
        ("amqp://a,", "between two commas"), ("amqp://,a", "between two commas"), ("amqp://a,,b", "between two commas"),
        ("amqp://a,b:5672,a:5672", "twice"), ("amqp://a,b:x", "port"), ("amqp://a,u:secret@b@c", "%40"),
        ("amqp://a,[::1", "]"), ("amqp://" + (0...16).map { "h\($0)" }.joined(separator: ","), "more than 16"),
        ("amqp://h?heartbeat=0", "heartbeat"), ("amqp://h?heartbeat=", "heartbeat"),
        ("amqp://h?heartbeat", "heartbeat"),
        ("amqp://h?heartbeat=1m", "heartbeat"), ("amqp://h?heartbeat=65536", "heartbeat"),
        ("amqp://h?heartbeat=99999999999999999999", "heartbeat"),
        ("amqp://h?connection_timeout=0", "connection_timeout"), ("amqp://h?channel_max=65536", "channel_max"),
        ("amqp://h?frame_max=4095", "frame_max"),
        ("amqp://h?frame_max=131073", "frame_max"), ("amqp://h?auth_mechanism=amqplain", "auth_mechanism"),
        ("amqp://h?heartbeat=3&heartbeat=4", "twice"), ("amqp://h?x=1&x=1", "twice"), ("amqp://h?=1", "name"),
        ("amqp://h?cacertfile=/x", "amqps"), ("amqp://h?insecure=true", "amqps"),
        ("amqp://h?verify=verify_peer", "amqps"),
        ("amqps://u:secret@h?verify=verify_none", "insecure=true"), ("amqps://h?verify=none", "verify_peer only"),
        ("amqps://h?insecure", "true or false"), ("amqps://h?insecure=1", "true or false"),
        ("amqps://h?verify=verify_peer&insecure=true", "contradict"),
        ("amqps://h?certfile=/x", "keyfile"), ("amqps://h?keyfile=/x", "certfile"),
        ("amqps://h?cacertfile=", "cacertfile"),
        ("amqp://\(String(repeating: "u", count: 256)):secret@h", "255"),
        ("amqp://h/\(String(repeating: "v", count: 256))", "255"),
        ("amqp://u:secret\(String(repeating: "p", count: 4096))@h", "4096"),
    ]

    @Test(arguments: refused)
    func refuses(_ uri: String, _ hint: String) {
        let failure = #expect(throws: ConnectionFailure.self) { try AMQPURI.parse(uri) }
        #expect(failure?.message.contains(hint) == true, "\(failure?.message ?? "")")
        #expect(failure?.isPermanent == true)
        #expect(failure.map { "\($0)".contains("secret") } == false)
    }

    @Test func longestNamesPass() throws {
        let name = String(repeating: "%61", count: 255)
        let endpoint = try AMQPURI.parse("amqp://\(name)@h/\(name)")
        #expect(endpoint.user.utf8.count == 255 && endpoint.vhost.utf8.count == 255)
    }

    @Test func noDescriptionShowsThePassword() throws {
        let endpoint = try AMQPURI.parse("amqps://bob:s3cret@[::1]:7/a%2fb?heartbeat=3")
        #expect("\(endpoint)" == "amqps://bob@[::1]:7/a%2fb")
        var dumped = ""
        dump(endpoint, to: &dumped)
        for text in [String(reflecting: endpoint), "\(Optional(endpoint) as Any)", "\([endpoint])", dumped] {
            #expect(!text.contains("s3cret"))
        }
    }
}

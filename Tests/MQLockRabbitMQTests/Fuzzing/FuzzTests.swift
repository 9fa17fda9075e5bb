import MQLock
import MQLockTesting
import Testing

@testable import MQLockRabbitMQ

/// What a broker, or whoever may publish there, gives this module to read. Nothing traps; what is read and written again is
/// read as the same; what was valid stays so.
@Suite("Whatever a broker sends") struct FuzzTests {
    private static let nonce = String(repeating: "0a", count: 16)

    @Test func messagesOfLocks() async {
        let examples = [
            "mqlock.v1 token 42 \(Self.nonce)", "mqlock.v1 line 18446744073709551615 \(Self.nonce) 7",
            "mqlock.v1 proof 0 \(Self.nonce)",
        ]
        let fault = await Fuzzing.firstFault(in: "messages of locks", examples: examples) { bytes in
            guard let text = MessageText(payload: bytes) else { return .refused }
            guard text.payload == bytes else { return .wrong("written otherwise") }
            for returns in [0, 1, Int64.max, -1, .min] {
                for now in [WallClock.now, .max, .min] {
                    _ = try? TokenNumber.fence(text.number, returns: returns, at: now)
                }
            }
            _ = try? TokenNumber.seed(above: text.number)
            if let token = TokenMessage(text) { return token.payload == bytes ? .read : .wrong("another token") }
            if let line = LineMessage(text) { return line.payload == bytes ? .read : .wrong("another message") }
            return .refused
        }
        #expect(fault == nil)
    }

    @Test func questions() async {
        let who = "mqlock.v1 who \(Self.nonce)\n"
        let examples = [
            "caf\u{E9}%0A\u{1}mqlock.v1.reply/\(Self.nonce)\u{1}\(who)",
            "%list\u{1}\u{1}mqlock.v1 list \(Self.nonce)\nafter a\n",
            "n\u{1}other\u{1}mqlock.v1 yield \(Self.nonce)\nfence 7\n",
        ]
        let fault = await Fuzzing.firstFault(in: "questions", examples: examples, words: ["mqlock.v1.reply/", "%list"])
        {
            bytes in
            let parts = bytes.split(separator: 1, maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { return .refused }
            var delivery = Delivery(
                consumerTag: "control", deliveryTag: 1, redelivered: false, exchange: ControlNames.exchange,
                routingKey: String(decoding: parts[0], as: UTF8.self))
            delivery.properties.replyTo = String(decoding: parts[1], as: UTF8.self)
            delivery.body = Array(parts[2])
            guard let question = ControlQuestion(delivery) else { return .refused }
            if let name = question.name, ControlNames.key(name) != delivery.routingKey { return .wrong("another name") }
            if let reply = question.replyTo, reply != "mqlock.v1.reply/\(reply.suffix(32))" {
                return .wrong("an answer to \(reply)")
            }
            return .read
        }
        #expect(fault == nil)
    }

    @Test func namesOfQueues() async {
        let examples = ["mqlock.v1/caf\u{E9}%0A", "mqlock.v1.line/a", "token-18446744073709551615", "register"]
        let fault = await Fuzzing.firstFault(in: "names of queues", examples: examples) { bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            if let tag = TokenMachine.Tag(text) {
                return tag.text == text || UInt64(text.dropFirst(6)) != nil ? .read : .wrong("another tag")
            }
            guard let name = LockObjects.name(ofQueue: text) else { return .refused }
            let objects = try? ObjectNames(name, vhost: "")
            return objects == nil || objects?.queue == text || objects?.line == text ? .read : .wrong("another queue")
        }
        #expect(fault == nil)
    }

    @Test func wordsOfBrokers() async throws {
        let objects = try ObjectNames("n", vhost: "/")
        let settings = try SessionSettings(RabbitMQLocks.Configuration())
        let examples = [
            "queue limit in vhost 'V' (5) is reached",
            "number of channels opened for user 'U' has reached the maximum allowed user limit of (2)",
            """
            inequivalent arg 'x-single-active-consumer' for queue 'mqlock.v1/n' in vhost '/': received none but current is \
            the value 'true' of type 'bool'
            """,
            """
            inequivalent arg 'x-dead-letter-routing-key' for exchange 'mqlock.v1' in vhost '/': received the value 'a' of \
            type 'longstr' but current is the value 'b' of type 'longstr'
            """,
            "delivery acknowledgement on channel 2 timed out. Timeout value used: 1800000 ms. This timeout value can be",
            "invalid arg 'x-single-active-consumer' for queue 'mqlock.v1/n' in vhost '/'",
        ]
        let words = [
            " is reached", " has reached the ", " limit of (", "'", "but current is ", "inequivalent arg '", "none",
        ]
        let fault = await Fuzzing.firstFault(in: "words of brokers", examples: examples, words: words) { bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            for code in [406, ChannelFault.resourceLocked, ChannelFault.accessRefused, 0, .max] {
                let fault = ChannelFault(code: code, text: text)
                let message = fault.refusal(of: "declaring", for: "n", capacity: 1).message
                guard !message.unicodeScalars.contains(where: \.needsEscaping) else { return .wrong("shown unescaped") }
                for mutex in RabbitMQLocks.Mutex.allCases {
                    _ = (fault.otherKind(than: mutex), fault.remedy(for: objects, of: mutex, "/"), fault.saysInvalid)
                }
                if let timeout = ConsumerTimeout.named(in: fault) {
                    var learned = settings
                    guard timeout > .zero, !learned.learn(consumerTimeout: timeout) || learned.maximumHold > .zero
                    else {
                        return .wrong("a hold of nothing")
                    }
                }
            }
            return .read
        }
        #expect(fault == nil)
    }

    @Test func versionsOfBrokers() async {
        let fault = await Fuzzing.firstFault(in: "versions", examples: ["3.10.8", "4.0.0-rc.1", "3.13.7+2", "4.3"]) {
            bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            guard let version = BrokerVersion(text) else { return .refused }
            let behavior = BrokerBehavior(version)
            _ = (behavior.knownFault, behavior.deliveryLimit, behavior.cancelled, try? behavior.check())
            return BrokerVersion(version.description) == version ? .read : .wrong("another version")
        }
        #expect(fault == nil)
    }

    // MARK: URIs

    private static let uris = [
        "amqp://user%61:%61pass@ho%61st:10000/v%2fhost?heartbeat=5s&channel_max=0&frame_max=131072",
        "amqps://u:p@a,b:5672,[fe80::1%25eth0]:65535/v?connection_timeout=86400000&auth_mechanism=PLAIN",
        "amqps://h?verify=verify_peer&cacertfile=/a%20b&certfile=/c&keyfile=/k&server_name_indication=n",
        "AMQP://h?consumer_timeout=1800000&proof=quorum",
    ]
    private static let words = [
        "heartbeat=", "consumer_timeout=", "connection_timeout=", "frame_max=", "proof=quorum", "insecure=true", "&x=y",
        "amqps://", "[::1]", "%40",
    ]

    @Test func addresses() async {
        let fault = await Fuzzing.firstFault(in: "AMQP URIs", examples: Self.uris, words: Self.words) { bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            // Whatever it says, a configuration is taken or refused.
            _ = try? SessionSettings(RabbitMQLocks.Configuration(uri: text, mutex: .singleActiveConsumer))
            guard let endpoint = try? AMQPURI.parse(text) else { return .refused }
            // What is shown of it means the same, without the password and the options.
            guard let shown = try? AMQPURI.parse(endpoint.description) else { return .wrong("unreadable: \(endpoint)") }
            return shown.hosts == endpoint.hosts && shown.user == endpoint.user && shown.vhost == endpoint.vhost
                ? .read : .wrong("shown as \(endpoint)")
        }
        #expect(fault == nil)
    }

    /// A password need not be encoded as it should: where it ends is then anybody's guess, and no part of it is shown.
    @Test func passwordsAreNotShown() async {
        let examples = ["s3cret", "s3cret?s3cret", "1/s3cret", "1?s3cret=s3cret", "1?a=1&s3cret&s3cret", "1?s3cret=%"]
        let words = [
            "s3cret", "?s3cret", "/s3cret", "@s3cret", "&s3cret=", "&s3cret&s3cret&", "://s3cret", ":s3cret", "#s3cret",
        ]
        let fault = await Fuzzing.firstFault(in: "passwords in AMQP URIs", examples: examples, words: words) { bytes in
            let password = String(decoding: bytes.prefix(80), as: UTF8.self)
            for uri in ["amqp://u:\(password)@h/v", "amqps://u:\(password)@h:5671/v?heartbeat=5"] {
                let configuration = RabbitMQLocks.Configuration(uri: uri)
                var texts = ["\(configuration)", "\(HiddenURI(text: uri))"]
                do throws(LockError) {
                    let endpoint = try SessionSettings(configuration).endpoint
                    texts += ["\(endpoint)", endpoint.address, endpoint.withoutBareSlash ?? ""]
                } catch {
                    texts.append("\(error) \(error.message)")
                }
                if let leak = texts.first(where: { $0.contains("s3cret") }) { return .wrong("shown: \(leak)") }
            }
            return .read
        }
        #expect(fault == nil)
    }
}

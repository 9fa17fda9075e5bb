import Foundation
import MQLock
import Testing

@testable import MQLockRabbitMQ

/// What the code reads and writes is what the vectors say, byte by byte.
@Suite struct ProtocolVectorTests {
    private let vectors: ProtocolVectors

    init() throws { vectors = try ProtocolVectors.all.get() }

    @Test func names() throws {
        for vector in vectors.names {
            let objects = try ObjectNames(LockName(vector.name), vhost: vector.vhost)
            // By bytes: Swift calls two spellings of one letter equal, and brokers do not.
            #expect(Array(objects.queue.utf8) == Array(vector.queue.utf8))
            #expect(Array(objects.register.utf8) == Array(vector.register.utf8))
            #expect(Array(objects.mend.utf8) == Array(vector.mend.utf8))
            #expect(Array(objects.line.utf8) == Array(vector.line.utf8))
            #expect(Array(objects.done.utf8) == Array(vector.done.utf8))
        }
        let queues = Set(vectors.names.map { Array($0.queue.utf8) })
        #expect(queues.count == Set(vectors.names.map { Array($0.name.utf8) }).count)
    }

    @Test func refusedNames() {
        for vector in vectors.refusedNames {
            #expect {
                try ObjectNames(LockName(vector.name), vhost: vector.vhost)
            } throws: {
                ($0 as? LockError)?.code == .invalidName
            }
        }
    }

    @Test func queueArguments() throws {
        for vector in vectors.queues {
            for broker in vector.brokers {
                let behavior = BrokerBehavior(BrokerVersion(announced: broker))
                #expect(
                    try arguments(of: vector, behavior).pairs == vector.pairs,
                    "\(vector.object) of \(vector.mutex) on \(behavior)")
            }
        }
    }

    private func arguments(of vector: ProtocolVectors.Queue, _ behavior: BrokerBehavior) throws -> QueueArguments {
        switch (vector.object, vector.mutex) {
        case ("queue", "token"): return .token(behavior)
        case ("queue", "sac"), ("line", "exclusive"): return .line(behavior)
        case ("queue", "exclusive"): return .exclusive
        case ("mend", "token"): return .mend
        case ("done", "all"): return .done(behavior)
        case ("register", "token"):
            let text = try #require(vector.pairs["x-dead-letter-routing-key"]?.string)
            return .register(try #require(Nonce(text)))
        default: throw UnknownVector(what: "\(vector.object) of \(vector.mutex)")
        }
    }

    /// Every object is there on brokers before and after 4.0.
    @Test func noDeclarationIsMissing() {
        let objects = [
            "token": ["queue", "register", "mend"], "sac": ["queue"], "exclusive": ["queue", "line"], "all": ["done"],
        ]
        #expect(Set(vectors.queues.map(\.mutex)) == Set(objects.keys))
        for (mutex, objects) in objects {
            for object in objects {
                let found = vectors.queues.filter { $0.mutex == mutex && $0.object == object }
                // One for each broker, so that nobody has to choose.
                let brokers = found.flatMap(\.brokers)
                #expect(brokers.contains("3.10.8") && brokers.contains("4.0.0") && brokers.contains(nil))
                #expect(Set(brokers).count == brokers.count, "\(object) of \(mutex)")
            }
        }
    }

    /// What is published to is bound, and only that: other queues would be ways in.
    @Test func queuesOfMessagesAreBound() {
        for queue in vectors.queues { #expect(queue.bound == queue.durable, "\(queue.object) of \(queue.mutex)") }
    }

    /// Programs with different mutexes meet on one queue, and the second has to be refused whatever the version.
    @Test func twoMutexesNeverDeclareTheNamesQueueAlike() {
        let queues = vectors.queues.filter { $0.object == "queue" }
        for one in queues {
            for other in queues where other.mutex != one.mutex {
                #expect(one.pairs != other.pairs || one.exclusive != other.exclusive)
            }
        }
    }

    @Test func theExchange() {
        // That it is declared like this is shown by the broker, which refuses another declaration.
        #expect(ObjectNames.exchange == vectors.exchange.name)
    }

    @Test func messages() throws {
        for vector in vectors.messages {
            let number = try #require(UInt64(vector.number))
            let nonce = try #require(Nonce(vector.nonce))
            let body = Array(vector.body.utf8)
            let text = try #require(MessageText(delivery(body)))
            let message: any LockMessage
            switch (vector.mutexes, vector.word) {
            case (["token"], "token"):
                let token = TokenMessage(number: number, nonce: nonce)
                #expect(TokenMessage(text) == token)
                message = token
            case (["sac", "exclusive"], "line"):
                let after = try #require(vector.after.flatMap { UInt64($0) })
                let token = LineMessage.token(number, nonce, after: after)
                #expect(LineMessage(text) == token)
                message = token
            case (["sac"], "proof"):
                let companion = LineMessage.companion(nonce)
                #expect(LineMessage(text) == companion)
                message = companion
            case (["sac"], "want"):
                let want = LineMessage.want(nonce)
                #expect(LineMessage(text) == want)
                message = want
            case (["all"], "look"):
                let look = LookMessage(nonce)
                #expect(LookMessage(delivery(body)) == look)
                message = look
            default: throw UnknownVector(what: "\(vector.word) of \(vector.mutexes)")
            }
            #expect(message.payload == body)
            let properties = message.properties(user: vector.properties.userId)
            #expect(
                properties
                    == MessageProperties(
                        contentType: vector.properties.contentType, deliveryMode: vector.properties.deliveryMode,
                        messageID: vector.properties.messageId, type: vector.properties.type,
                        userID: vector.properties.userId, appID: vector.properties.appId))
        }
    }

    @Test func refusedBodies() throws {
        for vector in vectors.refusedBodies {
            let text = MessageText(delivery(vector.bytes))
            switch vector.as {
            case "foreign": #expect(text == nil, "\(vector)")
            case "otherKind":
                let text = try #require(text, "\(vector)")
                for mutex in vector.mutexes {
                    switch mutex {
                    case "token": #expect(TokenMessage(text) == nil, "\(vector)")
                    case "sac", "exclusive": #expect(LineMessage(text) == nil, "\(vector)")
                    default: throw UnknownVector(what: vector.description)
                    }
                }
            default: throw UnknownVector(what: vector.as)
            }
        }
    }

    /// Who may lock is decided by the broker's permissions on our exchange: what came by another one is foreign.
    @Test func whatCameByAnotherExchangeIsForeign() {
        for vector in vectors.messages {
            for exchange in vectors.foreignExchanges {
                #expect(MessageText(delivery(Array(vector.body.utf8), exchange)) == nil, "\(exchange)")
            }
        }
    }

    private func delivery(_ body: [UInt8], _ exchange: String = "mqlock.v1") -> Delivery {
        Delivery(deliveryTag: 1, redelivered: false, exchange: exchange, routingKey: "mqlock.v1/job", body: body)
    }

    @Test func seeds() throws {
        for vector in vectors.numbers.seeds {
            let seed = try TokenNumber.seed(above: vector.largest.flatMap { UInt64($0) }, at: vector.unixMilliseconds)
            #expect(String(seed) == vector.seed)
        }
        for vector in vectors.numbers.refusedSeeds {
            #expect(throws: LockError.self) {
                try TokenNumber.seed(above: vector.largest.flatMap { UInt64($0) }, at: vector.unixMilliseconds)
            }
        }
    }

    @Test func fencingTokens() throws {
        for vector in vectors.numbers.tokens {
            let number = try #require(vector.number.flatMap { UInt64($0) })
            let token = try TokenNumber.fence(number, returns: returns(vector), at: vector.unixMilliseconds)
            #expect(token.description == vector.token)
        }
        for vector in vectors.numbers.refusedTokens {
            let number = try #require(vector.number.flatMap { UInt64($0) })
            #expect(throws: LockError.self) {
                try TokenNumber.fence(number, returns: returns(vector), at: vector.unixMilliseconds)
            }
        }
    }

    private func returns(_ vector: ProtocolVectors.Number) -> Int64 {
        var properties = MessageProperties()
        properties.headers = vector.fields
        return BrokerBehavior.returns(of: properties)
    }

    /// A mutex without vectors could change without anybody noticing.
    @Test func everyMutexHasVectors() {
        for mutex in RabbitMQLocks.Mutex.allCases {
            #expect(vectors.queues.contains { $0.mutex == mutex.description }, "\(mutex)")
            #expect(vectors.messages.contains { $0.mutexes.contains(mutex.description) }, "\(mutex)")
        }
    }

    /// What the vectors use is explained beside them.
    @Test func theArticleNamesEverything() throws {
        let article = try String(contentsOf: ProtocolVectors.catalog("TheProtocol.md"), encoding: .utf8)
        var words: Set<String> = [vectors.protocol]
        for name in vectors.names {
            words.formUnion(
                [name.queue, name.register, name.mend, name.line, name.done].compactMap {
                    $0.split(separator: "/").first
                }.map { "\($0)/" })
        }
        for queue in vectors.queues { words.formUnion(queue.arguments.keys) }
        for message in vectors.messages {
            let number = ["proof", "want", "look"].contains(message.word) ? "0" : "NUMBER"
            words.formUnion(["\(vectors.protocol) \(message.word) \(number) NONCE", message.properties.type])
        }
        words.formUnion([vectors.exchange.name, vectors.control.exchange.name])
        for number in vectors.numbers.tokens { words.formUnion(number.headers?.keys.map { $0 } ?? []) }
        for word in words.sorted() { #expect(article.contains("`\(word)"), "\(word)") }
        for permission in vectors.permissions {
            for pattern in [permission.configure, permission.write, permission.read] {
                #expect(article.contains(" \(pattern)\n"), "\(permission.role)")
            }
        }
        let values = vectors.queues.flatMap { $0.pairs.values.compactMap(\.integer) }
        for value in Set(values) { #expect(article.contains("= \(value)"), "\(value)") }
    }

    private struct UnknownVector: Error {
        let what: String
    }
}

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
                let version = BrokerVersion(announced: broker)
                let behaviour = BrokerBehaviour(version, .replicated)
                let arguments: QueueArguments
                switch (vector.object, vector.mutex) {
                case ("queue", "token"): arguments = .token(try ObjectNames("job", vhost: "/"), behaviour)
                case ("queue", "sac"): arguments = .singleActiveConsumer(behaviour)
                case ("mend", "token"): arguments = .mend
                case ("register", "token"):
                    let text = try #require(vector.pairs["x-dead-letter-routing-key"]?.string)
                    arguments = .register(try #require(Nonce(text)), .replicated)
                default: throw UnknownVector(what: "\(vector.object) of \(vector.mutex)")
                }
                #expect(arguments.pairs == vector.pairs, "\(vector.object) of \(vector.mutex) on \(version)")
            }
        }
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

    @Test func messages() throws {
        for vector in vectors.messages {
            let number = try #require(UInt64(vector.number))
            let nonce = try #require(Nonce(vector.nonce))
            let body = Array(vector.body.utf8)
            let message: any LockMessage
            switch (vector.mutex, vector.word) {
            case ("token", "token"):
                let token = TokenMessage(number: number, nonce: nonce)
                #expect(TokenMessage(payload: body) == token)
                message = token
            case ("sac", "sac"), ("sac", "seed"):
                let token = SACMessage(isSeed: vector.word == "seed", number: number, nonce: nonce)
                #expect(SACMessage(payload: body) == token)
                message = token
            default: throw UnknownVector(what: "\(vector.word) of \(vector.mutex)")
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
            switch vector.mutex {
            case "token": #expect(TokenMessage(payload: vector.bytes) == nil, "\(vector)")
            case "sac": #expect(SACMessage(payload: vector.bytes) == nil, "\(vector)")
            default: throw UnknownVector(what: vector.description)
            }
        }
    }

    @Test func seeds() throws {
        for vector in vectors.numbers.seeds {
            let seed = try TokenNumber.seed(at: vector.date, above: vector.largest.flatMap { UInt64($0) })
            #expect(String(seed) == vector.seed)
        }
        for vector in vectors.numbers.refusedSeeds {
            #expect(throws: LockError.self) {
                try TokenNumber.seed(at: vector.date, above: vector.largest.flatMap { UInt64($0) })
            }
        }
    }

    private func handOvers(_ headers: [String: FieldValue]) -> Int64 {
        var properties = MessageProperties()
        properties.headers = headers
        return BrokerBehaviour(BrokerVersion(3, 10, 8), .replicated).handOvers(of: properties, in: "mqlock.v1/job")
    }

    @Test func fencingTokens() throws {
        for vector in vectors.numbers.tokens {
            let number = try #require(vector.number.flatMap { UInt64($0) })
            let count = handOvers(vector.fields)
            let token = try TokenNumber.fence(number: number, count: count, at: vector.date)
            #expect(token.description == vector.token)
        }
        for vector in vectors.numbers.refusedTokens {
            let number = try #require(vector.number.flatMap { UInt64($0) })
            let count = handOvers(vector.fields)
            #expect(throws: LockError.self) { try TokenNumber.fence(number: number, count: count, at: vector.date) }
        }
        for vector in vectors.numbers.successors {
            let largest = try #require(vector.largest.flatMap { UInt64($0) })
            #expect(String(try TokenNumber.next(above: largest, at: vector.date)) == vector.next)
        }
    }

    /// A mutex without vectors could change without anybody noticing.
    @Test func everyMutexHasVectors() {
        for mutex in RabbitMQLocks.Mutex.allCases {
            #expect(vectors.queues.contains { $0.mutex == mutex.description }, "\(mutex)")
            #expect(vectors.messages.contains { $0.mutex == mutex.description }, "\(mutex)")
        }
    }

    /// What the vectors use is explained beside them.
    @Test func theArticleNamesEverything() throws {
        let article = try String(contentsOf: ProtocolVectors.catalog("TheProtocol.md"), encoding: .utf8)
        var words: Set<String> = [vectors.protocol]
        for name in vectors.names {
            words.formUnion(
                [name.queue, name.register, name.mend].compactMap { $0.split(separator: "/").first }.map { "\($0)/" })
        }
        for queue in vectors.queues { words.formUnion(queue.arguments.keys) }
        for message in vectors.messages {
            words.formUnion(["\(vectors.protocol) \(message.word) NUMBER NONCE", message.properties.type])
        }
        for number in vectors.numbers.tokens { words.formUnion(number.headers?.keys.map { $0 } ?? []) }
        for word in words.sorted() { #expect(article.contains("`\(word)"), "\(word)") }
    }

    private struct UnknownVector: Error {
        let what: String
    }
}

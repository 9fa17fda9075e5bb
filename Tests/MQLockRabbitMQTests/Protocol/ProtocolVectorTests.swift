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
            #expect(Array(objects.fence.utf8) == Array(vector.fence.utf8))
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
            for durability in try vector.durability.map(durability) {
                for broker in vector.brokers {
                    let behaviour = BrokerBehaviour(BrokerVersion(announced: broker), durability)
                    #expect(
                        try arguments(of: vector, behaviour).pairs == vector.pairs,
                        "\(vector.object) of \(vector.mutex) on \(behaviour)")
                }
            }
        }
    }

    private func arguments(of vector: ProtocolVectors.Queue, _ behaviour: BrokerBehaviour) throws -> QueueArguments {
        switch (vector.object, vector.mutex) {
        case ("queue", "token"): return .token(try ObjectNames("job", vhost: "/"), behaviour)
        case ("queue", "sac"): return .singleActiveConsumer(behaviour)
        case ("queue", "exclusive"): return .exclusive
        case ("line", "exclusive"), ("fence", "exclusive"): return .helper(behaviour)
        case ("mend", "token"): return .mend
        case ("register", "token"):
            let text = try #require(vector.pairs["x-dead-letter-routing-key"]?.string)
            return .register(try #require(Nonce(text)), behaviour.durability)
        default: throw UnknownVector(what: "\(vector.object) of \(vector.mutex)")
        }
    }

    private func durability(_ text: String) throws -> RabbitMQLocks.Durability {
        let all = [RabbitMQLocks.Durability.replicated, .fast]
        guard let durability = all.first(where: { $0.description == text }) else { throw UnknownVector(what: text) }
        return durability
    }

    /// Every object is there with either durability, and on brokers before and after 4.0.
    @Test func noDeclarationIsMissing() {
        let objects = [
            "token": ["queue", "register", "mend"], "sac": ["queue"], "exclusive": ["queue", "line", "fence"],
        ]
        #expect(Set(vectors.queues.map(\.mutex)) == Set(objects.keys))
        for (mutex, objects) in objects {
            for object in objects {
                for durability in ["replicated", "fast"] {
                    let found = vectors.queues.filter {
                        $0.mutex == mutex && $0.object == object && $0.durability.contains(durability)
                    }
                    // One for each broker, so that nobody has to choose.
                    let brokers = found.flatMap(\.brokers)
                    #expect(brokers.contains("3.10.8") && brokers.contains("4.0.0") && brokers.contains(nil))
                    #expect(Set(brokers).count == brokers.count, "\(object) of \(mutex), \(durability)")
                }
            }
        }
    }

    /// Programs with different mutexes, or durabilities, meet on one queue, and the second has to be refused whatever the
    /// version.
    @Test func twoMutexesNeverDeclareTheNamesQueueAlike() {
        let queues = vectors.queues.filter { $0.object == "queue" }
        for one in queues {
            for other in queues where other.mutex != one.mutex || Set(other.durability).isDisjoint(with: one.durability)
            {
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
            case ("exclusive", "turn"):
                #expect(number == 0)
                #expect(TurnMessage(payload: body) == TurnMessage(nonce: nonce))
                message = TurnMessage(nonce: nonce)
            case ("exclusive", "fence"):
                let fence = FenceMessage(number: number, nonce: nonce)
                #expect(FenceMessage(payload: body) == fence)
                message = fence
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
            case "exclusive":
                if vector.object != "fence" { #expect(TurnMessage(payload: vector.bytes) == nil, "\(vector)") }
                if vector.object != "line" { #expect(FenceMessage(payload: vector.bytes) == nil, "\(vector)") }
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

    private func handOvers(_ vector: ProtocolVectors.Number) throws -> Int64 {
        var properties = MessageProperties()
        properties.headers = vector.fields
        return BrokerBehaviour(BrokerVersion(3, 10, 8), try vector.durability.map(durability) ?? .replicated)
            .handOvers(of: properties, in: "mqlock.v1/job")
    }

    @Test func fencingTokens() throws {
        for vector in vectors.numbers.tokens {
            let number = try #require(vector.number.flatMap { UInt64($0) })
            let count = try handOvers(vector)
            let token = try TokenNumber.fence(number: number, count: count, at: vector.date)
            #expect(token.description == vector.token)
        }
        for vector in vectors.numbers.refusedTokens {
            let number = try #require(vector.number.flatMap { UInt64($0) })
            let count = try handOvers(vector)
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
                [name.queue, name.register, name.mend, name.line, name.fence].compactMap {
                    $0.split(separator: "/").first
                }.map { "\($0)/" })
        }
        for queue in vectors.queues { words.formUnion(queue.arguments.keys) }
        for message in vectors.messages {
            words.formUnion(["\(vectors.protocol) \(message.word) NUMBER NONCE", message.properties.type])
        }
        words.formUnion(vectors.queues.flatMap(\.durability).filter { $0 != "replicated" }.map { "durability=\($0)" })
        words.insert(vectors.control.exchange.name)
        for number in vectors.numbers.tokens { words.formUnion(number.headers?.keys.map { $0 } ?? []) }
        for word in words.sorted() { #expect(article.contains("`\(word)"), "\(word)") }
    }

    private struct UnknownVector: Error {
        let what: String
    }
}

import Foundation
import MQLock
import Testing

@testable import MQLockRabbitMQ

/// What contenders are asked and answer is what the vectors say, byte by byte.
@Suite struct ControlVectorTests {
    private let vectors: ProtocolVectors.Control
    private let article: String

    init() throws {
        vectors = try ProtocolVectors.all.get().control
        article = try String(contentsOf: ProtocolVectors.catalog("SeeingWhoHoldsALock.md"), encoding: .utf8)
    }

    @Test func theObjects() throws {
        // That the exchange is declared like this is shown by the broker, which refuses another declaration.
        #expect(ControlNames.exchange == vectors.exchange.name)
        #expect(Set(vectors.queues.map(\.object)) == ["control", "reply"])
        for queue in vectors.queues {
            let id = try #require(Nonce(queue.id))
            let name = queue.object == "control" ? ControlNames.controlQueue(id) : ControlNames.replyQueue(id)
            #expect(name == queue.name)
            #expect(ControlNames.isReplyQueue(queue.name) == (queue.object == "reply"))
            #expect(ControlNames.queueArguments.mapValues(\.integer) == queue.arguments.mapValues(\.value.integer))
            // Answers come by the exchange, too.
            #expect(queue.boundWith == (queue.object == "reply" ? queue.name : nil))
            for key in queue.arguments.keys { #expect(article.contains("`\(key)")) }
        }
    }

    @Test func keys() throws {
        for vector in vectors.keys {
            let name = try LockName(vector.name)
            #expect(ControlNames.key(name) == vector.key)
            #expect(ControlNames.helloKey(name) == vector.hello)
        }
        #expect(ControlNames.listKey == vectors.listKey)
        #expect(article.contains("`\(vectors.listKey)`"))
        let all = vectors.keys.flatMap { [$0.key, $0.hello] } + [vectors.listKey]
        #expect(Set(all).count == all.count)
    }

    @Test func properties() {
        let properties = vectors.properties
        #expect(
            ControlNames.properties(user: properties.userId)
                == MessageProperties(
                    contentType: properties.contentType, deliveryMode: properties.deliveryMode,
                    messageID: properties.messageId, type: properties.type, userID: properties.userId,
                    appID: properties.appId))
    }

    /// What is read of a vector is written as the same bytes.
    @Test func messages() throws {
        for vector in vectors.messages {
            let body = Array(vector.body.utf8)
            let text = try #require(ControlText(payload: body), "\(vector.body)")
            #expect(text.question == vector.question)
            #expect(text.word == vector.word)
            let (request, answer) = (ControlRequest(text), ControlAnswer(text))
            #expect(request?.text(vector.question).payload == (vector.kind == "request" ? body : nil), "\(vector.body)")
            #expect(answer?.text(vector.question).payload == (vector.kind == "answer" ? body : nil), "\(vector.body)")
            #expect(article.contains("`\(vector.word)`"))
        }
        let words = ["who", "watch", "yield", "hello", "list", "here", "listed", "yielding", "changed", "refused"]
        #expect(Set(vectors.messages.map(\.word)) == Set(words))
    }

    /// Who may ask is decided by the broker's permissions on the exchange, and nobody is answered elsewhere.
    @Test func onlyWhatCameByTheExchangeIsAQuestion() throws {
        let body = Array(try #require(vectors.messages.first { $0.word == "who" }).body.utf8)
        func question(by exchange: String, replyTo: String) -> ControlQuestion? {
            var delivery = Delivery(
                deliveryTag: 1, redelivered: false, exchange: exchange, routingKey: vectors.keys[0].key, body: body)
            delivery.properties.replyTo = replyTo
            return ControlQuestion(delivery)
        }
        let reply = try #require(vectors.queues.first { $0.object == "reply" }).name
        #expect(question(by: vectors.exchange.name, replyTo: reply)?.replyTo == reply)
        #expect(question(by: vectors.exchange.name, replyTo: "mqlock.v1/job")?.replyTo == nil)
        for exchange in ["", "amq.direct", "mqlock.v1"] { #expect(question(by: exchange, replyTo: reply) == nil) }
    }

    @Test func refusedBodies() {
        for vector in vectors.refusedBodies {
            guard let text = ControlText(payload: Array(vector.body.utf8)) else { continue }
            #expect(ControlRequest(text) == nil && ControlAnswer(text) == nil, "\(vector.about)")
        }
    }
}

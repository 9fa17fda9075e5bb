import MQLock
import Testing

@testable import MQLockRabbitMQ

@Suite("Questions to contenders")
struct ControlQuestionTests {
    private static let number = "0123456789abcdef0123456789abcdef"

    private func delivery(_ change: (inout Delivery) -> Void = { _ in }) -> Delivery {
        var delivery = Delivery(
            deliveryTag: 1, redelivered: false, exchange: ControlNames.exchange, routingKey: "job",
            body: ControlRequest.who.text(Self.number).payload)
        delivery.properties.replyTo = "mqlock.v1.reply/\(Self.number)"
        delivery.properties.userID = "guest"
        change(&delivery)
        return delivery
    }

    @Test func aQuestionIsRead() throws {
        let question = try #require(ControlQuestion(delivery()))
        #expect(question.name == "job")
        #expect(question.request == .who)
        #expect(question.question == Self.number)
        #expect(question.user == "guest")
        #expect(question.replyTo == "mqlock.v1.reply/\(Self.number)")
        let encoded = try #require(ControlQuestion(delivery { $0.routingKey = "a%0Db" }))
        #expect(encoded.name == "a\rb")
    }

    @Test func whatIsNoQuestion() {
        #expect(ControlQuestion(delivery { $0.exchange = "" }) == nil)
        #expect(ControlQuestion(delivery { $0.routingKey = "" }) == nil)
        #expect(ControlQuestion(delivery { $0.routingKey = "a%" }) == nil)
        #expect(ControlQuestion(delivery { $0.routingKey = String(repeating: "x", count: 201) }) == nil)
        #expect(ControlQuestion(delivery { $0.isOversize = true }) == nil)
        #expect(ControlQuestion(delivery { $0.body = [] }) == nil)
        #expect(ControlQuestion(delivery { $0.body = Array("hello".utf8) }) == nil)
    }

    /// Else anybody could have every contender of a lock write into a queue of their choice.
    @Test(arguments: [
        "mqlock.v1/job", "amq.gen-1", "", "mqlock.v1.reply/", "mqlock.v1.reply/\(number)x",
        "mqlock.v1.reply/0123456789ABCDEF0123456789ABCDEF", "amq.rabbitmq.reply-to.x", "mqlock.v1.control/\(number)",
    ])
    func answersGoToQueuesForAnswersOnly(_ queue: String) throws {
        #expect(try #require(ControlQuestion(delivery { $0.properties.replyTo = queue })).replyTo == nil)
    }

    /// What is asked of everybody has no name, and what is asked of a name is not asked of everybody.
    @Test func aQuestionForAllLocks() throws {
        let list = ControlRequest.list(after: "a").text(Self.number).payload
        let question = try #require(
            ControlQuestion(
                delivery {
                    $0.body = list
                    $0.routingKey = ControlNames.listKey
                }))
        #expect(question.name == nil)
        #expect(question.request == .list(after: "a"))
        #expect(ControlQuestion(delivery { $0.body = list }) == nil)
        #expect(ControlQuestion(delivery { $0.routingKey = ControlNames.listKey }) == nil)
    }

    /// Answers count, not questions.
    @Test(arguments: [(ControlRequest.who, 1), (.list(after: nil), ControlRequest.maximumListed)])
    func aFloodOfQuestionsIsCutOff(_ request: ControlRequest, answers: Int) {
        var budget = QuestionBudget()
        let start = ContinuousClock.now
        let admitted = (0..<10_000).filter { _ in budget.admit(request, at: start) }.count
        #expect((1...2000).contains(admitted * answers))
        let later = start.advanced(by: .seconds(1))
        let again = (0..<10_000).filter { _ in budget.admit(request, at: later) }.count
        #expect((1...admitted).contains(again))
        let muchLater = start.advanced(by: .seconds(3600))
        #expect((0..<10_000).filter { _ in budget.admit(request, at: muchLater) }.count == admitted)
    }
}

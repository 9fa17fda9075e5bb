import Foundation

/// An order as it travels through the queue.
public struct Order: Codable, Hashable, Sendable, CustomStringConvertible {
    /// Who ordered.
    public var customer: String
    /// 1, 2, 3… per customer, given by whoever takes the orders. With the customer it tells an order from every other,
    /// and it is what makes "twice" and "out of turn" visible at the other end.
    public var number: Int
    /// In cents.
    public var amount: Int

    /// Makes an order.
    public init(customer: String, number: Int, amount: Int) {
        self.customer = customer
        self.number = number
        self.amount = amount
    }

    /// Reads a message; nil for what is no order.
    public init?(message: [UInt8]) {
        guard let order = try? JSONDecoder().decode(Order.self, from: Data(message)), order.number > 0,
            // It becomes a word of a ledger line.
            !order.customer.isEmpty, order.customer.allSatisfy({ !$0.isWhitespace })
        else { return nil }
        self = order
    }

    /// The order as a message.
    public var message: [UInt8] {
        get throws { Array(try JSONEncoder().encode(self)) }
    }

    /// Customer and number.
    public var description: String { "\(customer)/\(number)" }
}

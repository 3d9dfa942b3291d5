// A whole guest checkout: a product into a cart, an order out of it, and what a refusal looks like.
//
//     node dist/examples/checkout.js http://127.0.0.1:18400 [SLUG]
//
// Takes the product with this slug, or the first one in stock.

import { randomUUID } from "node:crypto";
import { argv, exit } from "node:process";

import { cartwright, type Cartwright, type Problem, type Schemas } from "../src/index.js";

const ADDRESS: Schemas["OrdersAddressBody"] = {
  recipient_name: "Ada Byron",
  line1: "12 Analytical Way",
  line2: "",
  city: "Portland",
  state: "OR",
  postal_code: "97201",
  country: "US",
  phone: "",
};

/** What was answered; a refusal ends the program with its code and words. */
function expect<T>(answer: { data?: T; error?: Problem | undefined }): T {
  if (answer.data === undefined) {
    const { status, code, detail } = answer.error ?? { status: 0, code: "empty", detail: "" };
    console.error(`${status} ${code}: ${detail}`);
    exit(1);
  }
  return answer.data;
}

/** The first variant that can be had of a product. */
async function choose(shop: Cartwright, slug: string | undefined): Promise<string> {
  if (slug === undefined) {
    const found = expect(await shop.GET("/v1/products", { params: { query: { limit: 1 } } }));
    slug = found.items[0]?.slug ?? "";
  }
  const path = { id_or_slug: slug };
  const page = expect(await shop.GET("/v1/products/{id_or_slug}", { params: { path } }));
  const variant = page.variants.find((each) => each.availability !== "out_of_stock");
  return variant?.id ?? "";
}

/** Buy two pieces, read the order, and see what becomes of a cart that is ordered twice. */
async function main(url: string, slug: string | undefined): Promise<void> {
  const shop = cartwright({ baseUrl: url });
  const variant_id = await choose(shop, slug);
  const cart = expect(
    await shop.POST("/v1/carts", {
      body: { items: [{ variant_id, quantity: 2 }], email: "ada@example.com" },
    }),
  );
  const query = { country: "US", state: "OR", currency: "USD" };
  const ways = expect(await shop.GET("/v1/shipping-methods", { params: { query } }));

  const place = () =>
    shop.POST("/v1/orders", {
      params: {
        header: {
          // A key of its own for each purchase: repeated with the same one, it is answered the same.
          "Idempotency-Key": randomUUID(),
          "X-Cart-Token": cart.cart_token ?? null,
          Prefer: "wait=20",
        },
      },
      body: {
        cart_id: cart.id,
        payment: { method: "card", token: "tok_ok" },
        shipping_address: ADDRESS,
        shipping_method_id: ways.methods[0]?.id ?? null,
      },
    });

  const placed = expect(await place());
  const order = expect(
    await shop.GET("/v1/orders/{order_id}", {
      params: {
        path: { order_id: placed.id },
        header: { "X-Order-Token": placed.order_token ?? null },
      },
    }),
  );
  console.log(`${order.order_number} ${order.status} ${order.total.amount} ${order.total.currency}`);

  const { error: refusal } = await place();
  console.log(`${refusal?.status} ${refusal?.code}`);
}

const [url, slug] = argv.slice(2);
if (url === undefined) {
  console.error("Say where the shop is: node dist/examples/checkout.js http://127.0.0.1:18400");
  exit(2);
}
await main(url, slug);

export type * from "../../widget/dist/widget";
